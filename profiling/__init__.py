"""The profiling bench: where a parallel run spends its time, by several tools, over all ranks."""
