
# ---------------------------------------------------------------- the broker
# While a job runs, the broker's data are on its first node's disk, between jobs in $kept. KAFKA_DISK=shared
# leaves them there all the time: slower, but they are not lost with the node.
kept=$work/kafka/$LOCKSTREAM_RUN_ID
broker=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/lockstream-kafka-$LOCKSTREAM_RUN_ID
[[ ${KAFKA_DISK:-node} != shared ]] || broker=$kept
here=$SLURMD_NODENAME:$broker

take_over() {
    mkdir -p "$work/kafka" || return
    if [[ $broker == "$kept" ]]; then
        # Slurm has ended the attempt that may have left this; its node may be another one.
        rm -f "$kept/running.json"
        return
    fi
    if [[ -e $kept.away ]]; then
        # The last attempt was killed before it could hand over.
        [[ $(<"$kept.away") == "$here" && -O $broker ]] && return
        say "Kafka's data are at $(<"$kept.away"), on a node where an attempt was killed. Fetch them from there" \
            "to $kept and delete $kept.away, or begin again as another run: LOCKSTREAM_RUN_ID"
        return 1
    fi
    rm -rf "$broker"
    mkdir -m 700 "$broker" && { [[ ! -d $kept ]] || cp -a "$kept/." "$broker"; } && echo "$here" >"$kept.away"
}

hand_over() {
    [[ $broker != "$kept" ]] || return 0
    rm -rf "$kept.new"
    cp -a "$broker" "$kept.new" && sync -f "$kept.new" && rm -rf "$kept" && mv "$kept.new" "$kept" &&
        rm -f "$kept.away" && rm -rf "$broker" && return
    say "Kafka's data could not be moved to $kept and are still at $here"
    return 1
}

forget() { rm -rf "$broker" "$kept" "$kept.away"; }

start_kafka() {
    lockstream broker start --foreground --dir "$broker" --port 0 &
    kafka=$!
    local servers=''
    until servers=$(lockstream broker status --dir "$broker" --json | sed -n 's/.*"bootstrap_servers": "\(.*\)".*/\1/p') &&
        [[ $servers ]]; do
        kill -0 "$kafka" 2>/dev/null || return 1
        sleep 0.5
    done
    export LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS=$servers
}

stop_kafka() {
    kill "$kafka" 2>/dev/null
    await "$kafka"
}
