"""What a fault did to a run, as a row of a table, and whether that is as promised."""

from collections.abc import Sequence
from dataclasses import dataclass, field

TOLERANCE = 1.1  # of max_stall: the clock, and a machine that has other things to do

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
    accepted, acknowledged, spooled, dropped
        Steps over all attempts, as the bridge counted them; None if nobody can know.
    archived, superseded
        Steps in the archive, and steps that a later attempt replaced.
    lost
        Steps that were accepted and are neither in the archive nor announced as gaps.
    longest_stall, max_stall
        How long the simulation was kept waiting for one step, and how long it may be; seconds.
    is_equal
        Whether each archived step is, by its digest, that of the run that nobody disturbed.
    problems
        What else is not as promised.
    """

    fault: str
    policy: str
    exit_codes: Sequence[int | None] = ()
    accepted: int | None = None
    acknowledged: int | None = None
    spooled: int | None = None
    dropped: int | None = None
    archived: int = 0
    superseded: int = 0
    lost: int = 0
    longest_stall: float | None = None
    max_stall: float = 0.0
    is_equal: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether all promises were kept."""
        return self.archived > 0 and not self.lost and self.is_equal and self.is_prompt and not self.problems

    @property
    def is_prompt(self) -> bool:
        """Whether the simulation never waited for longer than it may."""
        return self.longest_stall is None or self.longest_stall <= self.max_stall * TOLERANCE

    def cells(self) -> tuple[str, ...]:
        """Return it as `HEADINGS` say."""
        stall = None if self.longest_stall is None else round(self.longest_stall * 1000)
        counted = (self.accepted, self.acknowledged, self.spooled, self.dropped)
        codes = ", ".join("-" if code is None else str(code) for code in self.exit_codes)
        archived = (self.archived, self.superseded, self.lost, stall, round(self.max_stall * 1000))
        numbers = ("-" if number is None else str(number) for number in (*counted, *archived))
        return (self.fault, self.policy, codes, *numbers, "yes" if self.is_equal else "NO")
