"""What no latency plot shows: who waits, who stops, what is lost; each as an experiment with a measured outcome."""
