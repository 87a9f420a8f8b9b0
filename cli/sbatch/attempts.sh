#include signals.sh

# Ends this attempt. 75: stopped early in good order, so there is a next one, but not for ever.
leave() {
    (($1 == 75)) || exit "$1"
    [[ $asked != end ]] || exit 143         # cancelled or preempted: Slurm knows what comes next
    if ((${SLURM_RESTART_COUNT:-0} + 1 >= ${MAX_ATTEMPTS:-50})); then
        say "stopped again in attempt ${MAX_ATTEMPTS:-50}; look why, and submit it again as $LOCKSTREAM_RUN_ID"
        exit 1
    fi
    # Sites with RequeueExit=75 do it by themselves.
    scontrol requeue "$SLURM_JOB_ID" ||
        say "not put back into the queue; go on with: LOCKSTREAM_RUN_ID=$LOCKSTREAM_RUN_ID sbatch …"
    exit 75
}
