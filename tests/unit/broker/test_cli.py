import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lockstream.bridge.errors import UserError
from lockstream.cli.broker import broker
from lockstream.kafka.broker.errors import UnusableFolder


def test_the_status_of_a_folder_without_a_broker_is_1_and_complete(tmp_path: Path) -> None:
    result = CliRunner().invoke(broker, ["status", "--dir", str(tmp_path / "b"), "--json"])
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["running"] is False
    assert facts["pid"] is None
    assert facts["data_bytes"] == 0
    assert facts["log"] == str(tmp_path / "b" / "logs" / "server.log")
    assert not (tmp_path / "b").exists()


def test_stopping_where_nothing_runs_says_so_and_is_no_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(broker, ["stop", "--dir", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (0, "No broker was running.\n")


def test_a_wrong_heap_is_the_users_mistake(tmp_path: Path) -> None:
    result = CliRunner().invoke(broker, ["start", "--dir", str(tmp_path), "--heap", "lots"])
    assert getattr(result.exception, "exit_code", None) == 2
    assert "heap = 'lots'" in str(result.exception)


def test_a_port_out_of_range_is_the_users_mistake(tmp_path: Path) -> None:
    result = CliRunner().invoke(broker, ["start", "--dir", str(tmp_path), "--port", "70000"])
    assert result.exit_code == 2
    assert "70000" in result.stderr


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["--node", "1", "--foreground", "--port", "9092"], "take free ports"),
        (["--node", "1"], "add --foreground"),
        (["--foreground"], "say which node"),
        (["--node", "4", "--foreground"], "from 1 to 3"),
        (["--node", "1", "--of", "2", "--foreground"], "take 3 nodes"),
        (["--node", "1", "--foreground", "--host", "203.0.113.77"], "by which others reach this machine"),
    ],
)
def test_a_node_of_a_cluster_that_cannot_be_is_refused(words: list[str], cure: str, tmp_path: Path) -> None:
    cluster = ["--dir", str(tmp_path / "node"), "--cluster", str(tmp_path / "meeting")]
    result = CliRunner().invoke(broker, ["start", *cluster, *words])
    assert isinstance(result.exception, UserError), result.output
    assert cure in str(result.exception)
    assert not (tmp_path / "meeting").exists()


def test_who_opens_kafka_to_a_network_is_told_what_that_means(tmp_path: Path) -> None:
    result = CliRunner().invoke(broker, ["start", "--dir", str(tmp_path), "--host", "203.0.113.77"])
    assert "203.0.113.77 with neither encryption nor authentication" in result.stderr


def test_a_damaged_folder_is_told_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "running.json").write_text("{")
    result = CliRunner().invoke(broker, ["status", "--dir", str(tmp_path)])
    assert isinstance(result.exception, UnusableFolder)
