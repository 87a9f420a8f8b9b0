
# MPICH and its relatives speak pmi2; for Open MPI: SLURM_MPI_TYPE=pmix. A rank that dies takes the others with it.
case ${LAUNCH:-@LAUNCHER@} in
    srun) launch=(srun --mpi="${SLURM_MPI_TYPE:-pmi2}" --wait=120) ;;
    mpirun) launch=(mpirun -n "$SLURM_NTASKS") ;;
    *) fail "LAUNCH is '$LAUNCH'; it must be srun or mpirun" ;;
esac
export TERM=dumb                    # Open MPI's mpirun gives ranks a terminal, where the output is a file
