"""From segments to one plain file, verified before the segments go."""

from contextlib import ExitStack
from pathlib import Path

from lockstream.kafka.archive.layout import RUN_FILE
from lockstream.kafka.archive.lock import partition_lock
from lockstream.kafka.archive.run_file import adopt_merged, remove_taken_over, write_merged
from lockstream.kafka.archive.verify import verify_merged
from lockstream.kafka.archive.view import RunView, view_run
from lockstream.kafka.errors import VerificationFailed


def merge_run(run_folder: Path) -> Path:
    """Merge a run that nobody is archiving at the moment.

    Raises
    ------
    ArchiveLocked
        If an archiver writes it.
    VerificationFailed
        If the merged file does not verify; the segments stay as they are.
    """
    with ExitStack() as stack:
        for partition in view_run(run_folder).next_offsets:
            stack.enter_context(partition_lock(run_folder, partition))
        return merge_view(run_folder, view_run(run_folder))


def merge_view(run_folder: Path, view: RunView) -> Path:
    """Merge what a view shows; the caller holds the locks.

    Returns
    -------
    Path
        Of ``run.h5``.

    Raises
    ------
    VerificationFailed
        If the merged file does not verify; the segments stay as they are.
    """
    remove_taken_over(run_folder, view)
    if [file.path.name for file in view.files] == [RUN_FILE]:
        return view.files[0].path
    merged = write_merged(run_folder, view)
    if faults := verify_merged(merged):
        merged.unlink()
        raise VerificationFailed(
            f"{run_folder}: the merged file does not verify, the segments stay: {faults[0].what}"
        )
    return adopt_merged(run_folder, merged, view)
