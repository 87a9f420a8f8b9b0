"""How a simulation scales with its ranks, and which phase keeps it from scaling better."""
