"""The archive: sealed HDF5 segments, resume, verification and the file a person opens."""
