"""Ten thousand hostile records between the records of a run: every step is archived, nothing else is."""

from collections import deque
from pathlib import Path

import pytest
from support.hostile import assert_harmless, besieged
from support.runs import FakeRun, topic_of

from lockstream.bridge.messages import Axis, Field
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.run_archiver import RunArchiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.verify import verify_run

FIELDS = (Field("u", (6, 4)), Field("n", (9,), "i2", axes=(Axis("cell"),)))
RUN = FakeRun(fields=FIELDS, attempt=1, tile_bytes=48, more={"codec": "deflate"})
STEPS, HOSTILE = 250, 10_000


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.drill) for seed in range(2, 12))])
def test_every_step_is_archived_and_no_hostile_record_is(tmp_path: Path, seed: int) -> None:
    log, hostile = besieged(RUN, STEPS, HOSTILE, seed)
    with RunArchiver(tmp_path, topic_of("fake"), ArchiveSettings(segment_bytes=3000)) as archiver:
        for offset, (headers, value) in enumerate(log):
            deque(archiver.take(0, offset, headers, value), maxlen=0)
        assert len(segment_paths(tmp_path / "fake")) > 5
        archiver.finish()
    result = verify_run(tmp_path / "fake")
    assert (result.steps, result.faults, result.status) == (STEPS, (), "completed")
    assert_harmless(tmp_path / "fake", RUN, STEPS, hostile)
