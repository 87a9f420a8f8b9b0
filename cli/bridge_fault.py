"""What a fault of the bridge's drill is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lockstream.cli.bridge_bench import BridgeBench
from lockstream.cli.bridge_report import Row
from lockstream.cli.bridge_run import SimulatedRun

SHORT_CLOSE = 3.0  # seconds, for a broker that will not be there
SHORT_SECONDS = 7.0  # of a run that need not outlast an outage
ANY = None  # an exit code other than 0

Action = Callable[[BridgeBench, SimulatedRun], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Parameters
    ----------
    title
        Of its row; ``{outage}`` stands for the seconds.
    action
        Starts the run, disturbs it and sees it through to its last attempt's end.
    exit_codes
        How its attempts must end; `ANY` for those that are killed.
    policy
        Of the stream.
    beyond
        Seconds for which the run must go on before and after an outage; None if it need not outlast one.
    is_complete
        Whether all steps must be published in the end.
    is_relayed
        Whether it goes through the relay.
    frames_per_checkpoint
        Published steps between two checkpoints; 0 for a run that has none.
    settings
        More keys of the ``[stream]`` table, values in TOML's notation.
    """

    title: str
    action: Action
    exit_codes: tuple[int | None, ...] = (0,)
    policy: str = "spill"
    beyond: float | None = None
    is_complete: bool = True
    is_relayed: bool = False
    frames_per_checkpoint: int = 0
    settings: Mapping[str, object] = field(default_factory=dict)

    def seconds(self, outage: float) -> float:
        """How long the run must be."""
        return SHORT_SECONDS if self.beyond is None else outage + self.beyond

    def apply(self, bench: BridgeBench, name: str, frames: int) -> Row:
        """Do it, and say what came of it.

        Raises
        ------
        DrillFailed
            If it cannot be done so.
        """
        run = bench.open_run(name, frames, self._tables(bench), is_relayed=self.is_relayed)
        self.action(bench, run)
        row = bench.settle(run, self.is_complete)
        row.fault, row.policy = self.title.format(outage=f"{bench.outage:g}"), self.policy
        if not self.allows(row.exit_codes):
            row.problems.append(
                f"exit codes {row.exit_codes}, expected {self.exit_codes}: {run.last_words()}"
            )
        return row

    def _tables(self, bench: BridgeBench) -> dict[str, object]:
        tables: dict[str, object] = {"stream.policy": f'"{self.policy}"'}
        tables["checkpoint.folder"] = (
            f"'{bench.folder / 'checkpoints'}'"  # one that is stopped writes one too
        )
        tables |= {f"stream.{key}": value for key, value in self.settings.items()}
        if self.frames_per_checkpoint:
            tables["checkpoint.every"] = self.frames_per_checkpoint * bench.every
        return tables

    def allows(self, codes: tuple[int | None, ...]) -> bool:
        """Whether these are the exit codes that the attempts may end with."""
        return len(codes) == len(self.exit_codes) and all(
            code != 0 if expected is ANY else code == expected
            for code, expected in zip(codes, self.exit_codes, strict=True)
        )
