"""What it costs a simulation to be observed, measured against its own unobserved steps."""

from time import perf_counter


class StepTimes:
    """Takes the time of steps and of looks at the state.

    A loop calls `begin` before each, and `step_done` or `look_done` after it.
    """

    def __init__(self) -> None:
        self.observing = 0.0
        """Seconds that went into looking."""
        self._steps = self._quiet_steps = 0
        self._quiet_seconds = 0.0
        self._has_looked = False
        self._begun = 0.0

    def begin(self) -> None:
        """Begin a step, or a look."""
        self._begun = perf_counter()

    def step_done(self) -> None:
        """End a step."""
        self._steps += 1
        if not self._has_looked:  # right after a look, what was looked at is still on its way out
            self._quiet_steps += 1
            self._quiet_seconds += perf_counter() - self._begun
        self._has_looked = False

    def look_done(self) -> None:
        """End a look."""
        self.observing += perf_counter() - self._begun
        self._has_looked = True

    def slowdown(self, seconds: float) -> float | None:
        """By what share of itself a loop took longer than if nobody had looked.

        Parameters
        ----------
        seconds
            What it took.

        Returns
        -------
        float, or None
            E.g. 0.04 for 4 %; None if there were no unobserved steps to compare with.
        """
        if not self._quiet_steps:
            return None
        return seconds * self._quiet_steps / (self._steps * self._quiet_seconds) - 1
