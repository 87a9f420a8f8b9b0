"""Job scripts for Slurm, from the templates and their parts in `sbatch/`."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from lockstream.bridge.errors import ConfigurationError

TEMPLATES = Path(__file__).with_name("sbatch")
SCRIPTS = tuple(sorted(path.stem for path in TEMPLATES.glob("*.sbatch")))
LAUNCHERS = ("srun", "mpirun")
BROKERS = (1, 3)

_LONGEST_WARNING = 300  # s, of the default
_COMMENTS = 32  # column
# Minutes, minutes:seconds, hours:minutes:seconds; or days-hours and then as much of that as is wanted.
_TIME = re.compile(
    r"(?:(?P<days>\d+)-(?P<dh>\d+)(?::(?P<dm>\d+)(?::(?P<ds>\d+))?)?"
    r"|(?P<m>\d+)(?::(?P<s>\d+))?|(?P<hh>\d+):(?P<hm>\d+):(?P<hs>\d+))"
)
_UNITS = {"days": 86400, "dh": 3600, "dm": 60, "ds": 1, "m": 60, "s": 1, "hh": 3600, "hm": 60, "hs": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a script asks for, and of whom.

    Parameters
    ----------
    nodes, ntasks
        For the simulation.
    time
        Limit of one attempt, as Slurm writes it.
    warning
        Seconds before the limit at which the script is signalled; None: five minutes, or a quarter of a short limit.
    partition, account
        Left to Slurm's defaults if empty.
    config
        What is run if the script is submitted without an argument; empty: nothing, it must have one.
    launcher
        "srun" or "mpirun".
    brokers
        How many of them, 1 or 3, where Kafka runs in the job.

    Raises
    ------
    ConfigurationError
        They do not go together, or Slurm would not understand them.
    """

    nodes: int = 1
    ntasks: int = 4
    time: str = "01:00:00"
    warning: int | None = None
    partition: str = ""
    account: str = ""
    config: str = ""
    launcher: str = "srun"
    brokers: int = 1

    def __post_init__(self) -> None:
        if self.nodes < 1:
            raise ConfigurationError("--nodes", self.nodes, "ask for at least one")
        if self.ntasks < self.nodes:
            raise ConfigurationError(
                "--ntasks", self.ntasks, f"give each of the {self.nodes} nodes one at least"
            )
        if self.brokers not in BROKERS:
            raise ConfigurationError("--brokers", self.brokers, "take 1, or 3: of two, neither may be lost")
        limit = seconds(self.time)
        if self.warning is not None and not 0 < self.warning < limit:
            raise ConfigurationError("--warning", self.warning, f"it must lie within the {limit} s of --time")
        for option, value in (("--partition", self.partition), ("--account", self.account)):
            if not re.fullmatch(r"[\w.,@+-]*", value):
                raise ConfigurationError(option, value, "a name has letters, digits and . , @ + - _ only")
        if self.launcher not in LAUNCHERS:
            raise ConfigurationError("--launcher", self.launcher, f"take one of {', '.join(LAUNCHERS)}")


def seconds(time: str) -> int:
    """Return the length of a time limit as Slurm writes it, e.g. ``2-12:00:00``.

    Raises
    ------
    ConfigurationError
        It is not one, or 0, which Slurm takes for no limit at all.
    """
    found = _TIME.fullmatch(time)
    parts = found.groupdict(default="0") if found else {}
    length = sum(int(parts[name]) * unit for name, unit in _UNITS.items()) if parts else 0
    if length == 0:
        cure = "write minutes, hours:minutes:seconds or days-hours:minutes:seconds, e.g. 90 or 1-12:00:00"
        raise ConfigurationError("--time", time, cure)
    return length


def render(script: str, site: Site) -> str:
    """Return the text of one of `SCRIPTS`, fitted to a site."""
    values = _values(site)
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], _whole(f"{script}.sbatch"))


def _whole(name: str) -> str:
    """Return a template with the parts that it includes, which may include others."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    return re.sub(r"^#include (\S+)\n", lambda found: _whole(found[1]), text, flags=re.MULTILINE)


def _values(site: Site) -> dict[str, str]:
    warning = site.warning or min(_LONGEST_WARNING, seconds(site.time) // 4)
    limits = [_line("time", site.time, "of one attempt")]
    limits += [_line(name, value) for name in ("partition", "account") if (value := getattr(site, name))]
    told = (
        _line("signal", f"B:USR1@{warning}", "seconds before the limit, to this script: for a few steps,"),
        f"{'#':{_COMMENTS}}# a checkpoint, and what Kafka has not acknowledged yet",
    )
    attempts = (
        *told,
        _line("requeue", "", "an attempt whose node fails is followed by another, too"),
        _line("open-mode", "append", "the output of all attempts, one after the other"),
    )
    alone = (*told, _line("no-requeue", ""))
    return {
        "SITE": "\n".join(limits),
        "RESOURCES": "\n".join([_line("nodes", str(site.nodes)), _line("ntasks", str(site.ntasks)), *limits]),
        "ATTEMPTS": "\n".join(attempts),
        "WARNING": "\n".join(alone),
        "CONFIG": shlex.quote(site.config),
        "LAUNCHER": site.launcher,
        "BROKERS": str(site.brokers),
    }


def _line(option: str, value: str, comment: str = "") -> str:
    line = f"#SBATCH --{option}={value}" if value else f"#SBATCH --{option}"
    return f"{line:{_COMMENTS}}# {comment}" if comment else line
