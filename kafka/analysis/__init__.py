"""Live analysis: workers that share the runs, turn every step into a spectrum and keep what they found."""
