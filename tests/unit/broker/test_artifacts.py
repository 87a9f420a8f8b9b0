import hashlib
import sys
from pathlib import Path

import pytest
import requests
from jgo.maven import PythonResolver

from lockstream.bridge.errors import MissingExtra
from lockstream.kafka.broker.artifacts import Jar, cache_folder, check, fetch_jars, pinned
from lockstream.kafka.broker.errors import FetchFailed, UntrustedJar, UnusableFolder

CONTENT = b"what the publisher released"
JAR = Jar(coordinates="org.example:thing:1.2", sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))


@pytest.fixture
def maven_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's local Maven repository, empty; nothing is ever downloaded."""

    def unreachable(self: PythonResolver, artifact: object) -> Path:
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(PythonResolver, "download", unreachable)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    return tmp_path / "m2"


def put(repository: Path, content: bytes) -> Path:
    path = repository / "org/example/thing/1.2" / JAR.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_every_pinned_jar_has_coordinates_a_sha256_and_a_size() -> None:
    jars = pinned().jars
    assert pinned().version == "4.4.0"
    assert len({jar.filename for jar in jars}) == len(jars) == 45
    assert all(len(bytes.fromhex(jar.sha256)) == 32 and jar.size > 0 for jar in jars)
    names = {jar.filename for jar in jars}
    assert {"kafka_2.13-4.4.0.jar", "kafka-clients-4.4.0.jar"} <= names


def test_the_logging_binding_has_the_version_of_the_logger() -> None:
    versions = {jar.coordinates.split(":")[1]: jar.coordinates.split(":")[2] for jar in pinned().jars}
    assert versions["log4j-slf4j-impl"] == versions["log4j-core"]


def test_a_tampered_jar_is_refused_with_its_name_and_both_sums(tmp_path: Path) -> None:
    path = tmp_path / JAR.filename
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(UntrustedJar) as caught:
        fetch_jars((JAR,), tmp_path)
    for told in (str(path), JAR.sha256, hashlib.sha256(CONTENT + b"!").hexdigest()):
        assert told in str(caught.value)


def test_a_jar_of_the_users_maven_repository_is_copied_and_told(
    tmp_path: Path, maven_repository: Path
) -> None:
    put(maven_repository, CONTENT)
    told: list[tuple[int, int]] = []
    (path,) = fetch_jars((JAR,), tmp_path / "cache", lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert told == [(JAR.size, JAR.size)]
    assert [entry.name for entry in path.parent.iterdir()] == [JAR.filename]
    check(JAR, path)


def test_a_tampered_jar_of_the_users_maven_repository_never_reaches_the_cache(
    tmp_path: Path, maven_repository: Path
) -> None:
    found = put(maven_repository, b"something else")
    with pytest.raises(UntrustedJar, match=str(found)):
        fetch_jars((JAR,), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_network_the_error_names_the_jar_and_the_folder_to_copy(
    tmp_path: Path, maven_repository: Path
) -> None:
    with pytest.raises(FetchFailed, match=r"org.example:thing:1.2 .*ConnectionError.*broker fetch") as caught:
        fetch_jars((JAR,), tmp_path / "cache")
    assert str(tmp_path / "cache") in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_in_the_cache_needs_no_jgo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    (tmp_path / JAR.filename).write_bytes(CONTENT)
    assert fetch_jars((JAR,), tmp_path) == [tmp_path / JAR.filename]


def test_a_missing_jgo_is_named_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(MissingExtra, match=r"jgo: pip install 'lockstream\[broker\]'"):
        fetch_jars((JAR,), tmp_path)


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableFolder, match="XDG_CACHE_HOME"):
        fetch_jars((JAR,), tmp_path / "file" / "cache")


def test_the_cache_follows_xdg_cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lockstream" / "kafka-4.4.0"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    assert cache_folder().is_relative_to(Path.home())
