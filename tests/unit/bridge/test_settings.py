import math
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstream.bridge.client import client_config, with_options
from lockstream.bridge.errors import ConfigurationError
from lockstream.bridge.settings import StreamSettings, convert, read_tables


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_a_later_source_wins_key_by_key(tmp_path: Path) -> None:
    path = written(tmp_path, "[run]\nid = 'a'\nsteps = 1\nseed = 1\n[stream]\nevery = 4\n")
    environ = {"LOCKSTREAM_RUN_STEPS": "2", "LOCKSTREAM_RUN_SEED": "2", "HOME": "/", "LOCKSTREAM_": "x"}
    tables = read_tables(path, environ, ["run.seed=3", "archive.on_end=links"])
    assert tables == {
        "run": {"id": "a", "steps": 2, "seed": 3},
        "stream": {"every": 4},
        "archive": {"on_end": "links"},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.0", 3.0),
        ("1e3", 1000.0),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('["u"]', ["u"]),
        ('"3"', "3"),
        ("plain", "plain"),
        ("a=b", "a=b"),
        ("host:9092,other:9092", "host:9092,other:9092"),
        ("", ""),
    ],
)
def test_values_are_in_tomls_notation_or_plain_text(text: str, value: Any) -> None:
    for tables in (
        read_tables(None, {}, [f"run.key={text}"]),
        read_tables(None, {"LOCKSTREAM_RUN_KEY": text}),
    ):
        assert tables == {"run": {"key": value}}
        assert type(tables["run"]["key"]) is type(value)


def test_kafka_options_keep_their_dots(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka]\nbootstrap.servers = "a:1"\n"linger.ms" = 3\nssl.ca.location = "/ca"\n')
    assert read_tables(path, {})["kafka"] == {
        "bootstrap.servers": "a:1",
        "linger.ms": 3,
        "ssl.ca.location": "/ca",
    }
    tables = read_tables(path, {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": "b:2"}, ["kafka.linger.ms=5"])
    assert tables["kafka"]["bootstrap.servers"] == "b:2"
    assert tables["kafka"]["linger.ms"] == 5


@pytest.mark.parametrize("override", ["steps=3", "run.steps", "run.=3", ".steps=3", "=3", ""])
def test_an_override_must_say_table_key_and_value(override: str) -> None:
    with pytest.raises(ConfigurationError, match=r"table\.key=value"):
        read_tables(None, {}, [override])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"[run", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (b"steps = 3", "outside any table"),
        (b"[[run]]\nid = 'a'", "outside any table"),
    ],
)
def test_a_file_that_will_not_do(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        read_tables(path, {})


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        ({"evry": 3}, "stream.evry", "did you mean 'every'"),
        ({"zzz": 3}, "stream.zzz", "known are buffer_bytes"),
        ({"every": "three"}, "stream.every", "Expected `int`"),
        ({"every": True}, "stream.every", "Expected `int`"),
        ({"every": 1.5}, "stream.every", "Expected `int`"),
        ({"every": 0}, "stream.every", "at least 1"),
        ({"partitions": -1}, "stream.partitions", "at least 1"),
        ({"fields": "u"}, "stream.fields", "Expected `array`"),
        ({"fields": ["u", 3]}, "stream.fields.1", "Expected `str`"),
        ({"tile_bytes": 15}, "stream.tile_bytes", "16 to 1048576"),
        ({"tile_bytes": 1048577}, "stream.tile_bytes", "16 to 1048576"),
        ({"buffer_bytes": 0}, "stream.buffer_bytes", "at least 1"),
        ({"policy": "spil"}, "stream.policy", "Invalid enum value"),
        ({"policy": 1}, "stream.policy", "Expected `str`"),
        ({"max_stall": 0}, "stream.max_stall", "more than 0"),
        ({"max_stall": -1.0}, "stream.max_stall", "more than 0"),
        ({"max_stall": math.nan}, "stream.max_stall", "seconds"),
        ({"max_stall": math.inf}, "stream.max_stall", "seconds"),
        ({"max_stal": 1}, "stream.max_stal", "did you mean 'max_stall'"),
        ({"spool": 3}, "stream.spool", "Expected `str`"),
        ({"spool_bytes": 0}, "stream.spool_bytes", "at least 1"),
        ({"spool_bytes": 1.5}, "stream.spool_bytes", "Expected `int`"),
        ({"require_broker": "no"}, "stream.require_broker", "Expected `bool`"),
        ({"close_timeout": 0}, "stream.close_timeout", "seconds"),
        ({"close_timeout": math.nan}, "stream.close_timeout", "seconds"),
        ({"close_timeout": math.inf}, "stream.close_timeout", "seconds"),
        ({"replication": 0}, "stream.replication", "at least 1, or -1"),
        ({"retention_hours": 0}, "stream.retention_hours", "or -1"),
        ({"retention_hours": math.nan}, "stream.retention_hours", "or -1"),
        ({"retention_hours": math.inf}, "stream.retention_hours", "or -1"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_the_cure(table: Any, key: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        convert(table, StreamSettings, "stream")
    assert refused.value.key == key
    assert said in str(refused.value)
    assert refused.value.exit_code == 2
    (value,) = table.values()
    assert repr(value) in str(refused.value) or key.endswith(".1")


def test_a_key_inside_a_table_inside_a_table() -> None:
    class Inner(msgspec.Struct, forbid_unknown_fields=True):
        size: int = 1

    class Outer(msgspec.Struct, forbid_unknown_fields=True):
        inner: Inner
        name: str

    with pytest.raises(ConfigurationError, match=r"^here\.inner\.sise = 3: unknown key; did you mean 'size'"):
        convert({"inner": {"sise": 3}, "name": "a"}, Outer, "here")
    with pytest.raises(ConfigurationError, match=r"^here\.name = None: is required"):
        convert({"inner": {}}, Outer, "here")


def test_integers_are_taken_for_floats() -> None:
    assert convert({"close_timeout": 5}, StreamSettings).close_timeout == 5.0


@pytest.mark.parametrize("policy", ["spill", "drop", "stop"])
def test_policies_are_taken_from_everywhere(policy: str) -> None:
    for tables in (
        read_tables(None, {"LOCKSTREAM_STREAM_POLICY": policy, "LOCKSTREAM_STREAM_REQUIRE_BROKER": "false"}),
        read_tables(None, {}, [f"stream.policy={policy}", "stream.require_broker=false"]),
    ):
        settings = convert(tables["stream"], StreamSettings, "stream")
        assert (settings.policy, settings.require_broker) == (policy, False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ""),
        ({"buffer_bytes": 1000, "spool_bytes": 6000}, ""),
        ({"buffer_bytes": 999}, "stream.buffer_bytes = 999: one step has 1000"),
        ({"buffer_bytes": 1000, "spool_bytes": 5999}, "stream.spool_bytes = 5999: .*6000 bytes"),
        ({"spool_bytes": 1 << 20}, "stream.spool_bytes = 1048576: must have room"),
    ],
)
def test_bounds_must_have_room_for_the_steps_in_all_slots(settings: Any, said: str) -> None:
    """One step in the buffer, in each slot and at hand, and one more."""
    if not said:
        StreamSettings(**settings).check_step(1000, 3)
        return
    with pytest.raises(ConfigurationError, match=said):
        StreamSettings(**settings).check_step(1000, 3)


def test_every_key_of_the_stream_table_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    table = page.partition("## [stream]")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE))
    fields = {field.name: field for field in msgspec.structs.fields(StreamSettings)}
    assert rows.keys() == fields.keys()
    for key in (
        "every",
        "partitions",
        "tile_bytes",
        "buffer_bytes",
        "max_stall",
        "spool_bytes",
        "close_timeout",
    ):
        assert rows[key] == str(fields[key].default), key
    assert rows["policy"] == f'`"{fields["policy"].default}"`'


def test_ours_win_over_the_users_options() -> None:
    config = client_config({"acks": "1", "client.id": "mine", "linger.ms": 7}, acks="all")
    assert (config["acks"], config["client.id"], config["linger.ms"]) == ("all", "mine", 7)
    assert config["bootstrap.servers"] == "127.0.0.1:9092"


def test_an_option_that_librdkafka_refuses_is_the_users_mistake() -> None:
    from confluent_kafka.admin import AdminClient

    for options in ({"no.such.option": "1"}, {"bootstrap.servers": "a:1", "linger.ms": "soon"}):
        with pytest.raises(ConfigurationError, match=r"kafka\."):
            with_options(AdminClient, client_config(options))
