"""What no latency plot shows: who waits, who stops, what is lost; each as an experiment with a measured outcome."""

from collections.abc import Callable

from lockstream.contrast.experiments import (
    coupling,
    crashed,
    late,
    listeners,
    lost_broker,
    partitions,
    replay,
    slow,
    uneven,
)
from lockstream.contrast.results import Experiment
from lockstream.contrast.rig import Rig

EXPERIMENTS: tuple[Callable[[Rig], Experiment], ...] = (
    slow.run,
    crashed.run,
    late.run,
    replay.run,
    listeners.run,
    partitions.run,
    coupling.run,
    uneven.run,
    lost_broker.run,
)
