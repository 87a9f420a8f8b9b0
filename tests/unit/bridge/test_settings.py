import math
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


def test_ours_win_over_the_users_options() -> None:
    config = client_config({"acks": "1", "client.id": "mine", "linger.ms": 7}, acks="all")
    assert (config["acks"], config["client.id"], config["linger.ms"]) == ("all", "mine", 7)
    assert config["bootstrap.servers"] == "127.0.0.1:9092"


def test_an_option_that_librdkafka_refuses_is_the_users_mistake() -> None:
    from confluent_kafka.admin import AdminClient

    for options in ({"no.such.option": "1"}, {"bootstrap.servers": "a:1", "linger.ms": "soon"}):
        with pytest.raises(ConfigurationError, match=r"kafka\."):
            with_options(AdminClient, client_config(options))
