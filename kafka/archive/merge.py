"""From segments to one plain file, verified before the segments go."""

from contextlib import ExitStack
from pathlib import Path

from lockstream.kafka.archive.layout import RUN_FILE
from lockstream.kafka.archive.lock import partition_lock, run_file_lock
from lockstream.kafka.archive.run_file import adopt_merged, remove_taken_over, write_links, write_merged
from lockstream.kafka.archive.verify import verify_merged
from lockstream.kafka.archive.view import view_run
from lockstream.kafka.errors import VerificationFailed


def merge_run(run_folder: Path, patience: float = 0.0) -> Path:
    """Merge a run that nobody is archiving at the moment; what is merged already is left as it is.

    Attempts that cut their tiles differently cannot share one file: their run keeps its links.

    Parameters
    ----------
    run_folder
        The run's folder in the archive.
    patience
        Seconds that archivers of the run may take to let go.

    Returns
    -------
    Path
        Of ``run.h5``.

    Raises
    ------
    ArchiveLocked
        If an archiver writes it.
    VerificationFailed
        If the merged file does not verify; the segments stay as they are.
    """
    with ExitStack() as stack:
        stack.enter_context(run_file_lock(run_folder))
        for partition in view_run(run_folder).next_offsets:
            stack.enter_context(partition_lock(run_folder, partition, patience))
        view = view_run(run_folder)
        remove_taken_over(run_folder, view)
        if [file.path.name for file in view.files] == [RUN_FILE]:
            return view.files[0].path
        if any(attempt.tiles != view.attempts[0].tiles for attempt in view.attempts):
            return write_links(run_folder, view)  # one dataset has one shape of chunks
        merged = write_merged(run_folder, view)
        if faults := verify_merged(merged):
            merged.unlink()
            raise VerificationFailed(
                f"{run_folder}: the merged file does not verify, the segments stay: {faults[0].what}"
            )
        return adopt_merged(run_folder, merged, view)
