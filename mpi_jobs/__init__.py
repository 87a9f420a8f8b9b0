"""The lockstep side: an MPI simulation that advances in step and shows its state to observers."""
