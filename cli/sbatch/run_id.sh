export LOCKSTREAM_RUN_ID=${LOCKSTREAM_RUN_ID:-job-$SLURM_JOB_ID}    # the same in every attempt of this job
