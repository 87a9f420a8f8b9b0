"""Somebody else's cluster: TLS, SCRAM, OAUTHBEARER, and rights that are just enough."""

import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]
from mpi4py import MPI
from support.programs import run
from support.secure_broker import Right, SecureBroker, secure_broker, token

from lockstream.bridge import Block, Field, StreamSettings, open_stream
from lockstream.bridge.client import admin_client, first_contact
from lockstream.bridge.errors import BrokerRefuses, ConfigurationError, UserError
from lockstream.bridge.messages import run_topic
from lockstream.kafka.archive.archiver import Archiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.verify import verify_run

U = Field("u", (6, 5))
BLOCK = {"u": Block(np.ones((6, 5), "f4"), (0, 0))}
SECRET = "marker-7d1f-of-the-secret"  # noqa: S105 - it is the test's own


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    with secure_broker(tmp_path_factory.mktemp("secure") / "cluster") as broker:
        broker.add_user("owner", SECRET)
        broker.allow("owner", [("TOPIC", "*", "ALL"), ("GROUP", "*", "ALL")])
        yield broker


def with_files(cluster: SecureBroker, folder: Path) -> dict[str, Any]:
    """The owner's options, the password in a file."""
    options = cluster.options("owner", "")
    del options["sasl.password"]
    (folder / "password").write_text(SECRET + "\n")
    return options | {"sasl.password.file": str(folder / "password")}


def publish(options: dict[str, Any], run_id: str, folder: Path, **settings: Any) -> None:
    given = StreamSettings(spool=str(folder / "spool"), close_timeout=20, **settings)
    with open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options, settings=given) as stream:
        for step in range(3):
            stream.publish(step, time=0.0, blocks=BLOCK)


def archive(options: dict[str, Any], run_id: str, folder: Path) -> None:
    settings = ArchiveSettings(folder=str(folder / "archive"))
    assert Archiver(options, settings, [run_id]).follow(Event())
    found = verify_run(folder / "archive" / run_id)
    assert (found.steps, found.faults) == (3, ())


def test_a_run_over_tls_and_scram_leaves_its_secret_nowhere(
    cluster: SecureBroker, run_id: str, tmp_path: Path
) -> None:
    options = with_files(cluster, tmp_path)
    lines = "\n".join(f'"{key}" = "{value}"' for key, value in options.items())
    (tmp_path / "run.toml").write_text(
        f'[run]\nid = "{run_id}"\nmodel = "heat"\nsteps = 20\n[domain]\nshape = [16, 16]\nspacing = [0.1, 0.1]\n'
        f'[stream]\nevery = 10\nspool = "{tmp_path}/spool"\n[checkpoint]\nevery = 10\nfolder = "{tmp_path}/ck"\n'
        f"[kafka]\n{lines}\n"
    )
    seen = []
    program = f"""
import sys
from pathlib import Path
sys.argv = ["lockstream", "simulate", {str(tmp_path / "run.toml")!r}, "--summary", {str(tmp_path / "sum.json")!r}]
from lockstream.bridge import stream
publish = stream.Stream.publish
def look(self, *args, **more):
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            sys.stderr.write(path.read_bytes().replace(b"\\0", b" ").decode(errors="replace") + "\\n")
        except OSError:
            pass
    publish(self, *args, **more)
stream.Stream.publish = look
from lockstream.cli.main import main
main()
"""
    done = run(sys.executable, "-c", program, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "lockstream.bridge.publisher_process" in done.stderr
    archive(options, run_id, tmp_path)
    seen += [done.stdout.encode(), done.stderr.encode(), *_records(cluster, run_id)]
    (tmp_path / "password").unlink()
    seen += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(seen) > 10
    assert not [content for content in seen if SECRET.encode() in content]


def _records(cluster: SecureBroker, run_id: str) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": cluster.inside, "group.id": run_id})
    try:
        place = TopicPartition(run_topic(run_id), 0, 0)
        consumer.assign([place])
        _, end = consumer.get_watermark_offsets(place, timeout=10)
        messages = [consumer.poll(10) for _ in range(end)]
        assert all(message is not None for message in messages)
        return [repr(m.headers()).encode() + (m.value() or b"") for m in messages if m is not None]
    finally:
        consumer.close()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"sasl.password": "wrong"}, BrokerRefuses, "Authentication failed.*check sasl.mechanism"),
        ({"ssl.ca.location": None}, BrokerRefuses, "certificate verify failed.*ssl.ca.location"),
        ({"bootstrap.servers": "inside"}, BrokerRefuses, "security.protocol"),
        (
            {"sasl.password.file": "/nowhere/password"},
            ConfigurationError,
            "sasl.password.file.*cannot be read",
        ),
    ],
)
def test_a_broker_that_does_not_let_us_in_is_explained(
    cluster: SecureBroker,
    run_id: str,
    tmp_path: Path,
    change: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    options = {k: v for k, v in (cluster.options("owner", SECRET) | change).items() if v is not None}
    if options["bootstrap.servers"] == "inside":
        options["bootstrap.servers"] = cluster.inside
    with pytest.raises(error, match=f"(?s){said}") as refused:
        first_contact(admin_client(options), options["bootstrap.servers"])
    assert "wrong" not in str(refused.value)
    with pytest.raises(UserError, match=f"(?s){said}"):
        publish(options, run_id, tmp_path)


def test_a_token_by_command_is_fetched_anew_by_every_client(
    cluster: SecureBroker, run_id: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(token("owner"))
    (tmp_path / "fetch.py").write_text(f"print(open({str(tmp_path / 'token')!r}).read())")
    command = f"{sys.executable} {tmp_path}/fetch.py"
    options = {k: v for k, v in cluster.options("owner", "").items() if not k.startswith("sasl")}
    options["sasl.oauthbearer.token.command"] = command
    publish(options, run_id, tmp_path)
    archive(options, run_id, tmp_path)
    (tmp_path / "token").write_text(token("owner", -100))
    with pytest.raises(ConfigurationError, match=r"sasl.oauthbearer.token .*expired"):
        admin_client(options)
    (tmp_path / "token").write_text("")
    with pytest.raises(ConfigurationError, match="printed no token"):
        admin_client(options)


PRODUCER: list[Right] = [
    ("TOPIC", "lockstream.run.*", operation) for operation in ("CREATE", "DESCRIBE", "WRITE")
]
ARCHIVER: list[Right] = [
    *(("TOPIC", "lockstream.run.*", operation) for operation in ("READ", "DESCRIBE", "DESCRIBE_CONFIGS")),
    ("GROUP", "lockstream-archiver", "READ"),
]


def test_rights_that_are_just_enough_are_enough(cluster: SecureBroker, run_id: str, tmp_path: Path) -> None:
    for user, rights in (("producer", PRODUCER), ("archiver", ARCHIVER)):
        cluster.add_user(user, "pw")
        cluster.allow(user, rights)
    publish(cluster.options("producer", "pw"), run_id, tmp_path)
    archive(cluster.options("archiver", "pw"), run_id, tmp_path)


@pytest.mark.parametrize("missing", ["CREATE", "WRITE"])
def test_a_right_that_the_publisher_lacks_is_named(
    cluster: SecureBroker, run_id: str, tmp_path: Path, missing: str
) -> None:
    user = f"lacks-{missing.lower()}"
    cluster.add_user(user, "pw")
    cluster.allow(user, [right for right in PRODUCER if right[2] != missing])
    with pytest.raises(Exception, match=r"(?i)authorization failed"):
        publish(cluster.options(user, "pw"), run_id, tmp_path)


def test_a_topic_that_was_prepared_needs_no_right_to_make_one(
    cluster: SecureBroker, run_id: str, tmp_path: Path
) -> None:
    cluster.add_user("guest", "pw")
    cluster.allow("guest", [right for right in PRODUCER if right[2] != "CREATE"])
    admin = cluster.admin
    topic = run_topic(run_id)
    admin.create_topics([NewTopic(topic, 2, 1, config={"max.message.bytes": "2097152"})])[topic].result(20)
    options = cluster.options("guest", "pw")
    with pytest.raises(UserError, match=r"stream.partitions = 1: .*has 2"):
        publish(options, run_id, tmp_path)
    publish(options, run_id, tmp_path, partitions=2)
    with pytest.raises(UserError, match="holds a run of that name"):
        publish(options, run_id, tmp_path, partitions=2)
