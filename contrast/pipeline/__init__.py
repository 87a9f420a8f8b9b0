"""Little's law on the way of a step from the simulation to its analysis: how many are under way, and for how long."""
