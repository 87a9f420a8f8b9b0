"""Where spools are kept: as the user says, or else on a disk of the job, or in the user's own state."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lockstream.bridge.errors import ConfigurationError

CURE = "name a folder that you may write with stream.spool"


def spool_place(setting: str = "", environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which each run's spool gets a folder of its own; nothing is made.

    Parameters
    ----------
    setting
        ``stream.spool``; if it is empty: ``$SLURM_TMPDIR``, ``$TMPDIR`` unless that is plain ``/tmp``, the user's
        state folder, whichever comes first.
    environ
        The environment.

    Raises
    ------
    ConfigurationError
        If `setting` names nobody's home.
    """
    if setting:
        try:
            return Path(setting).expanduser().absolute()
        except RuntimeError as error:
            raise ConfigurationError("stream.spool", setting, f"{error}; {CURE}") from None
    for name in ("SLURM_TMPDIR", "TMPDIR"):
        value = environ.get(name, "")
        if os.path.isabs(value) and Path(value) != Path("/tmp"):  # noqa: S108  # that one is everybody's, often memory
            return Path(value) / "lockstream-spool"
    base = environ.get("XDG_STATE_HOME", "")
    root = Path(base) if os.path.isabs(base) else _home(environ) / ".local" / "state"
    return root / "lockstream" / "spool"


def usable_place(place: Path, least_bytes: int = 0) -> Path:
    """Make the folder, and make sure that files can be made in it and that there is room.

    Parameters
    ----------
    place
        As `spool_place` gives it.
    least_bytes
        Room that must be free now, e.g. for one step.

    Raises
    ------
    ConfigurationError
        If it will not do; the text names the folder and the cure.
    """
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise ConfigurationError(
            "stream.spool", str(place), f"cannot be written ({error.strerror}); {CURE}"
        ) from None
    if free < least_bytes:
        raise ConfigurationError(
            "stream.spool",
            str(place),
            f"{free} bytes are free there and at least {least_bytes} are needed; make room, or {CURE}",
        )
    return place


def _home(environ: Mapping[str, str]) -> Path:
    try:
        return Path(environ.get("HOME", "") or "~").expanduser()
    except RuntimeError as error:
        raise ConfigurationError("stream.spool", "", f"{error}; {CURE}") from None
