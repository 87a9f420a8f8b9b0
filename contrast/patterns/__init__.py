"""The patterns of exchange in both styles: one function each in `in_mpi` and `in_kafka`, raced by `race`."""
