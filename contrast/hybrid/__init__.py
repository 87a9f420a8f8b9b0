"""One workflow three ways: all in MPI, all in Kafka, and over the bridge."""
