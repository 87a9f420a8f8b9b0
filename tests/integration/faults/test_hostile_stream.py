"""Ten thousand hostile records in a real topic: the archiver stays alive and small and archives none of them."""

from pathlib import Path

from support.archiver_program import archiver, end_and_peak_of
from support.hostile import assert_harmless, besieged
from support.kafka_logs import make_topic, produce, verified
from support.runs import FakeRun

from lockstream.bridge.messages import Axis, Field
from lockstream.kafka.broker import BrokerInfo

FIELDS = (Field("u", (40, 30)), Field("n", (90,), "i2", axes=(Axis("cell"),)))
STEPS, HOSTILE = 100, 10_000
MOST_BYTES = 600e6


def test_ten_thousand_hostile_records(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    run = FakeRun(run=run_id, fields=FIELDS, attempt=1, tile_bytes=2000, more={"codec": "deflate"})
    log, hostile = besieged(run, STEPS, HOSTILE, seed=1)
    make_topic(broker, run_id)
    with archiver(broker, tmp_path, run_id, sets=("archive.segment_bytes=50000",)) as process:
        produce(broker, run_id, [log])
        code, peak = end_and_peak_of(process)
    assert code == 0
    assert peak < MOST_BYTES
    result = verified(broker, tmp_path / run_id)
    assert (result.steps, result.status) == (STEPS, "completed")
    assert_harmless(tmp_path / run_id, run, STEPS, hostile)
