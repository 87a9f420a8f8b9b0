
# ---------------------------------------------------------------- Kafka
# BROKERS of them, 1 or 3, over the nodes in turn. While a job runs, a broker's data are on its node's disk, between
# jobs in $kept. KAFKA_DISK=shared leaves them there all the time: slower, but they are not lost with the node.
brokers=${BROKERS:-@BROKERS@}
[[ $brokers == [13] ]] || fail "BROKERS is '$brokers'; it must be 1 or 3"
kept=$work/kafka/$LOCKSTREAM_RUN_ID
disk=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/lockstream-kafka-$LOCKSTREAM_RUN_ID
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")

# What is done on a broker's node, given its folder between jobs, its folder now, and the name of the node.
take_over() {
    if [[ $2 == "$1" ]]; then
        # Slurm has ended the attempt that may have left this; its node may be another one.
        mkdir -p "$2" && rm -f "$2/running.json"
        return
    fi
    if [[ -e $1.away ]]; then
        # The last attempt was killed before it could hand over.
        [[ $(<"$1.away") == "$3:$2" && -O $2 ]] && return
        echo "Kafka's data are at $(<"$1.away"), on a node where an attempt was killed. Fetch them from there to" \
            "$1 and delete $1.away, or begin again as another run: LOCKSTREAM_RUN_ID" >&2
        return 1
    fi
    rm -rf "$2"
    mkdir -m 700 "$2" && { [[ ! -d $1 ]] || cp -a "$1/." "$2"; } && echo "$3:$2" >"$1.away"
}

hand_over() {
    [[ $2 != "$1" && -e $1.away && $(<"$1.away") == "$3:$2" ]] || return 0
    rm -rf "$1.new"
    cp -a "$2" "$1.new" && sync -f "$1.new" && rm -rf "$1" && mv "$1.new" "$1" &&
        rm -f "$1.away" && rm -rf "$2" && return
    echo "Kafka's data could not be moved to $1 and are still at $3:$2" >&2
    return 1
}

forget() { rm -rf "$2"; }

stop_broker() { lockstream broker stop --dir "$2"; }

# A broker alone is beside this script and listens on loopback only. Those of a cluster find each other in a folder of
# this attempt, and listen where Slurm finds their nodes: the steps that start them are the same in every attempt.
start_broker() {
    local one=()
    if ((brokers > 1)); then
        one=(--cluster "$kept/meeting" --node "$4" --of "$brokers")
        one+=(--host "$(scontrol show node "$3" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')")
    else
        one=(--port 0)
    fi
    exec lockstream broker start --foreground --dir "$2" "${one[@]}"
}
export kept brokers

# on_node NUMBER FUNCTION: does that for a broker, where it is; in the background only, which becomes it.
on_node() {
    local node=${nodes[($1 - 1) % ${#nodes[@]}]} from=$kept/broker-$1 to=$disk-$1
    local left words=(bash -c "$(declare -f "$2"); $2 \"\$@\"" "$2")
    [[ ${KAFKA_DISK:-node} != shared ]] || to=$from
    if ((brokers > 1)); then
        # Where an attempt that was killed has left its data, if we have that node again.
        [[ ! -e $from.away ]] || { left=$(<"$from.away") && left=${left%%:*}; }
        [[ " ${nodes[*]} " != *" ${left:-?} "* ]] || node=$left
        words=(srun --nodelist="$node" --nodes=1 --ntasks=1 --mem=0 --overlap --mpi=none --input=none "${words[@]}")
    fi
    exec "${words[@]}" "$from" "$to" "$node" "$1"
}

# on_all FUNCTION: does that for all brokers at once.
on_all() {
    local number workers=() code=0
    for ((number = 1; number <= brokers; number++)); do
        on_node "$number" "$1" &
        workers+=($!)
    done
    for number in "${workers[@]}"; do await "$number" || code=1; done
    return "$code"
}

start_kafka() {
    local number told
    mkdir -p "$kept" && rm -rf "$kept/meeting" "$kept"/broker-*.out && on_all take_over || return
    for ((number = 1; number <= brokers; number++)); do
        on_node "$number" start_broker >"$kept/broker-$number.out" &
        kafka+=($!)
    done
    for ((number = 1; number <= brokers; number++)); do
        until told=$(sed -n 's/^ *bootstrap.servers *//p' "$kept/broker-$number.out") && [[ $told ]]; do
            kill -0 "${kafka[number - 1]}" 2>/dev/null || { call_off; return 1; }
            sleep 0.5
        done
    done
    export LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS=$told
}

# One has failed: those that serve are stopped, those that wait for it are ended.
call_off() {
    on_all stop_broker
    kill "${kafka[@]}" 2>/dev/null
}

stop_kafka() {
    local one
    ((${#kafka[@]} == 0)) || on_all stop_broker
    for one in "${kafka[@]}"; do await "$one"; done
}
kafka=()

# It is all in the archive.
forget_kafka() { on_all forget && rm -rf "$kept"; }
