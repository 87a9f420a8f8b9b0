"""The archiver SIGKILLs itself at each moment that matters, again and again, and nothing is lost, doubled or torn."""

import signal
from pathlib import Path

import h5py
from support.archiver_program import die_at, follow_words
from support.kafka_logs import follow, stored, verified
from support.mortal import MOMENTS
from support.runs import FakeRun

from lockstream.bridge.messages import Axis, Field
from lockstream.kafka.archive.layout import UNSEALED, segment_paths
from lockstream.kafka.broker import BrokerInfo

STEPS = 40
LEFT_BEHIND = {
    "a segment is being written": "segments/*.tmp",
    "a segment is closed and has no name": "segments/*.tmp",
    "run.h5 is being renewed": "run.h5.tmp",
    "a merge copies chunks": "run.h5.tmp",
    "a merge is verified and not in place": "run.h5.tmp",
    "a merge is in place beside its segments": "segments/*.h5",
}


def test_dying_at_every_moment_in_turn(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    fields = (Field("u", (48, 40)), Field("n", (50,), "i2", axes=(Axis("cell"),)))
    source = FakeRun(run=run_id, fields=fields, tile_bytes=2000)
    stored(broker, run_id, source.logs(range(STEPS)))
    folder, size = tmp_path / run_id, 2 * source.started.step_bytes
    words = follow_words(tmp_path, run_id, sets=(f"archive.segment_bytes={size}",))
    for moment in MOMENTS:
        killed = die_at(moment, broker, *words)
        assert killed.returncode == -signal.SIGKILL, (moment, killed.stderr)
        assert list(folder.glob(LEFT_BEHIND.get(moment, "segments/*"))), moment
        assert_readers_find_whole_steps(folder, source)
    follow(broker, tmp_path, run_id, segment_bytes=size)
    assert verified(broker, folder).steps == STEPS
    assert shown(folder / "run.h5", source) == list(range(STEPS))
    assert not list(folder.rglob(f"*{UNSEALED}"))
    assert not segment_paths(folder)


def assert_readers_find_whole_steps(folder: Path, source: FakeRun) -> None:
    """Whatever bears a final name can be opened at any moment and holds nothing but whole steps."""
    for path in filter(Path.exists, [folder / "run.h5", *segment_paths(folder)]):
        steps = shown(path, source)
        assert not steps or steps == list(range(steps[0], steps[-1] + 1))


def shown(path: Path, source: FakeRun) -> list[int]:
    """The steps in a file, each compared bit for bit with what was published."""
    with h5py.File(path) as file:
        steps: list[int] = file["step"][()].tolist()
        for row, step in enumerate(steps):
            for field in source.fields:
                assert file[field.name][row].tobytes() == source.array(field.name, step).tobytes()
    return steps
