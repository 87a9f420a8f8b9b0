"""What an archive holds."""

from pathlib import Path

import msgspec

from lockstream.bridge.messages import Steered
from lockstream.kafka.archive.layout import RUN_FILE, segment_paths
from lockstream.kafka.archive.ledger import Outcome
from lockstream.kafka.archive.recovery import merged_file
from lockstream.kafka.archive.view import ledger_of, view_run
from lockstream.kafka.errors import NotAnArchive


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What is archived of one run.

    Parameters
    ----------
    run, status
        Its id; ``completed``, ``stopped``, ``failed``, ``open`` while no run-ended has come, or ``unsealed``
        while there is nothing yet.
    attempts, segments
        How many attempts it has, and how many sealed segments beside a merged file.
    steps, first_step, last_step
        How many steps, and the range of their numbers (-1 if there are none).
    gaps, quarantined
        Steps the producer dropped and no newer attempt made good, and offsets that could not be used.
    gap_steps
        Which steps were dropped, and why.
    steered
        The commands that were carried out or refused, oldest attempt first.
    fields, diagnostics
        Its variables, fields with their shape, dtype and units.
    raw_bytes, stored_bytes
        Size of the fields, and of the files.
    is_merged
        Whether ``run.h5`` holds the steps itself.
    """

    run: str
    status: str
    attempts: int = 0
    segments: int = 0
    steps: int = 0
    first_step: int = -1
    last_step: int = -1
    gaps: int = 0
    quarantined: int = 0
    gap_steps: dict[int, str] = {}
    steered: tuple[Steered, ...] = ()
    fields: tuple[str, ...] = ()
    diagnostics: tuple[str, ...] = ()
    raw_bytes: int = 0
    stored_bytes: int = 0
    is_merged: bool = False


def describe(run_folder: Path) -> Description:
    """Describe one run's folder.

    Raises
    ------
    ArchiveDamaged
        If it cannot be read.
    """
    try:
        view, segments = view_run(run_folder), segment_paths(run_folder)
    except NotAnArchive:  # one run that has just begun must not hide all the others
        return Description(run=run_folder.name, status="unsealed")
    entries = ledger_of(view)
    gaps = {e.step: e.reason for e in sorted(entries) if e.outcome is Outcome.CONTROL and e.step >= 0}
    newest = view.newest
    merged = merged_file(run_folder)
    files = {*segments, *([run_folder / RUN_FILE] if merged else [])}
    return Description(
        run=view.source.run,
        status=view.ended.status if view.ended else "open",
        attempts=len(view.attempts),
        segments=len(segments),
        steps=len(view.steps),
        first_step=int(view.steps[0]) if len(view.steps) else -1,
        last_step=int(view.steps[-1]) if len(view.steps) else -1,
        gaps=len(gaps),
        gap_steps=gaps,
        steered=view.steered,
        quarantined=sum(e.stop - e.first for e in entries if e.outcome is Outcome.QUARANTINED),
        fields=tuple(f"{f.name} {list(f.shape)} {f.dtype} [{f.units}]" for f in newest.fields)
        if newest
        else (),
        diagnostics=view.diagnostics,
        raw_bytes=len(view.steps) * (newest.step_bytes if newest else 0),
        stored_bytes=sum(path.stat().st_size for path in files),
        is_merged=merged is not None,
    )
