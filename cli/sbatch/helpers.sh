
# ---------------------------------------------------------------- settings
say() { echo "$SLURM_JOB_NAME: $*" >&2; }
fail() { say "$1"; exit 2; }

config=@CONFIG@
if [[ ${1:-} == *.toml ]]; then config=$1; shift; fi
[[ -r $config ]] || fail "the configuration '$config' cannot be read; submit it with its name: sbatch … CONFIG.toml"
command -v lockstream >/dev/null || fail "there is no lockstream here; activate its environment before sbatch"

# Where the run's files are. Every node must see it: a parallel file system, not $HOME.
work=${WORK_FOLDER:-${SCRATCH:-$SLURM_SUBMIT_DIR}}
mkdir -p "$work" || fail "the folder $work cannot be made; name another one: WORK_FOLDER"

# The environment of all that is started here; what is set before sbatch is kept.
# The spool, written only while Kafka is away, is there for the next attempt, on whichever nodes that runs:
# it delivers the rest first. A node's own disk would be faster, and lost with the node.
export LOCKSTREAM_CHECKPOINT_FOLDER=${LOCKSTREAM_CHECKPOINT_FOLDER:-$work/checkpoints}
export LOCKSTREAM_STREAM_SPOOL=${LOCKSTREAM_STREAM_SPOOL:-$work/spool}
export LOCKSTREAM_STREAM_CLOSE_TIMEOUT=${LOCKSTREAM_STREAM_CLOSE_TIMEOUT:-30}     # must fit between signal and limit
export LOCKSTREAM_CHECKPOINT_ON_USR1=stop
export SLURM_EXPORT_ENV=ALL         # srun shall hand it on, even after sbatch --export=NONE
