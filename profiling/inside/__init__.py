"""What runs inside a rank in the place of its program: a profiler, and the program in it."""
