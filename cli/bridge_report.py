"""What a fault did to a run, as a row of a table, and whether that is as promised."""

from dataclasses import dataclass, field

from lockstream.cli.bridge_log import Likeness
from lockstream.cli.bridge_run import Counts

TOLERANCE = 1.1  # of max_stall: the clock, and a machine that has other things to do

_EQUAL = {Likeness.NONE: "NO", Likeness.FIELDS: "fields", Likeness.WHOLE: "yes"}
HEADINGS = (
    "fault",
    "policy",
    "exit codes",
    "accepted",
    "acknowledged",
    "spooled",
    "dropped",
    "archived",
    "superseded",
    "lost",
    "longest stall (ms)",
    "allowed",
    "equal",
)


@dataclass(slots=True, kw_only=True)
class Row:
    """One fault.

    Parameters
    ----------
    fault, policy
        What was done, under which ``stream.policy``.
    exit_codes
        Of the attempts.
    counted
        What the bridge counted over all attempts; None if nobody can know.
    archived, superseded, gaps
        Steps in the archive, steps that a later attempt replaced, and steps announced as dropped.
    lost
        Steps that were accepted and are neither in the archive nor announced as dropped.
    max_stall
        How long the simulation may be kept waiting for one step, in seconds.
    likeness
        What of every archived step equals that of the run that nobody disturbed.
    is_on_other_ranks
        Whether the run went on on another number of ranks: sums over all ranks are then rounded otherwise, and
        only the fields must be equal.
    problems
        What else is not as promised.
    """

    fault: str = ""
    policy: str = ""
    exit_codes: tuple[int | None, ...] = ()
    counted: Counts | None = None
    archived: int = 0
    superseded: int = 0
    gaps: int = 0
    lost: int = 0
    max_stall: float = 0.0
    likeness: Likeness = Likeness.NONE
    is_on_other_ranks: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether all promises were kept."""
        return self.archived > 0 and not self.faults

    @property
    def faults(self) -> list[str]:
        """What was not as promised, a sentence each."""
        found = list(self.problems)
        if self.lost:
            found.append(f"{self.lost} steps are lost")
        if self.archived and self.likeness < (Likeness.FIELDS if self.is_on_other_ranks else Likeness.WHOLE):
            found.append("archived steps differ from those of the run that nobody disturbed")
        if self.counted is None:
            return found
        if (waited := self.counted.longest_wait) > self.max_stall * TOLERANCE:
            found.append(
                f"the simulation waited {waited:.3f} s for a step, max_stall is {self.max_stall:g} s"
            )
        if self.counted.dropped != self.gaps:
            found.append(f"{self.counted.dropped} steps were dropped, {self.gaps} gaps say so")
        return found

    def cells(self) -> tuple[str, ...]:
        """Return it as `HEADINGS` say."""
        codes = ", ".join("-" if code is None else str(code) for code in self.exit_codes)
        counted = self.counted
        known: tuple[int | str, ...] = (
            (*counted[:4], round(counted.longest_wait * 1000)) if counted else ("-",) * 5
        )
        archived = (self.archived, self.superseded, self.lost)
        numbers = map(str, (*known[:4], *archived, known[4], round(self.max_stall * 1000)))
        return (self.fault, self.policy, codes, *numbers, _EQUAL[self.likeness])
