
# ---------------------------------------------------------------- one attempt
# Slurm's signals reach this script only. It hands them on, to the simulation while that runs.
asked='' signals=0 receiver=''
hand_on() {
    asked=$1 signals=$((signals + 1))
    say "$2"
    # Again and again: launchers that are just starting ranks lose it.
    [[ -z $receiver ]] || while kill -s "${receiver%:*}" "${receiver#*:}" 2>/dev/null; do sleep 5; done &
}
trap 'hand_on limit "the time limit is near: checkpoint, then the end of this attempt"' USR1
trap 'hand_on end "told to end: checkpoint, then the end"' TERM

# Waits for a process, through signals, and returns its exit code.
await() {
    local seen code
    while seen=$signals; wait "$1"; code=$?; ((signals != seen)); do :; done
    return "$code"
}

# Runs the simulation: begins it, or goes on from its last checkpoint.
simulate() {
    [[ -z $asked ]] || return 75
    # MPICH names its shared memory after job and step. An attempt that was killed leaves it behind, and the next
    # one, with the same numbers, falls over it: let each have a step number of its own.
    if [[ $1 == srun ]]; then
        for ((attempt = 0; attempt < ${SLURM_RESTART_COUNT:-0}; attempt++)); do srun --nodes=1 --ntasks=1 --overlap true; done
    fi
    "$@" &
    receiver=USR1:$!
    [[ -z $asked ]] || kill -s USR1 $!      # asked in between
    await $!
    local code=$?
    receiver=
    # Told before it could listen, it died of the signal, under mpirun (10) or srun (138): it begins again.
    if [[ $asked == limit ]] && ((code == 10 || code == 138)); then code=75; fi
    return "$code"
}
