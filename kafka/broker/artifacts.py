"""The pinned Kafka: its jars by Maven coordinates, fetched once and checked at every start."""

import hashlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lockstream.bridge.errors import MissingExtra
from lockstream.kafka.broker.errors import FetchFailed, UntrustedJar, UnusableFolder

Progress = Callable[[int, int], None]  # (bytes there, bytes in all)

_DOWNLOADS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One pinned jar: "group:artifact:version", hexadecimal SHA-256, bytes."""

    coordinates: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """Its name in a Maven repository and in our cache."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A Kafka version and every jar that it runs with."""

    version: str
    jars: tuple[Jar, ...]


@cache
def pinned() -> Pinned:
    """Return what artifacts.toml, written by `python -m lockstream.kafka.broker.lock`, pins."""
    lock = tomllib.loads(Path(__file__).with_name("artifacts.toml").read_text(encoding="utf-8"))
    return Pinned(version=lock["kafka"], jars=tuple(Jar(**jar) for jar in lock["jar"]))


def cache_folder() -> Path:
    """Return where the jars are kept: $XDG_CACHE_HOME/lockstream/kafka-VERSION."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "lockstream" / f"kafka-{pinned().version}"


def fetch_jars(jars: tuple[Jar, ...], folder: Path, progress: Progress | None = None) -> list[Path]:
    """Return the paths of `jars` in `folder`, each checked; what is missing is downloaded first.

    Raises
    ------
    UntrustedJar
        A checksum is not the pinned one.
    FetchFailed
        A jar cannot be downloaded.
    UnusableFolder
        `folder` cannot be written.
    MissingExtra
        A download is needed and jgo is not installed.
    """
    missing = [jar for jar in jars if not (folder / jar.filename).exists()]
    if missing:
        _download(missing, folder, progress)
    paths = [folder / jar.filename for jar in jars]
    for jar, path in zip(jars, paths, strict=True):
        check(jar, path)
    return paths


def check(jar: Jar, path: Path) -> None:
    """Raise `UntrustedJar` unless the file at `path` is the pinned jar."""
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != jar.sha256:
        raise UntrustedJar(path, jar.sha256, got)


def _download(jars: list[Jar], folder: Path, progress: Progress | None) -> None:
    """Bring jars into `folder` under their final names, whole and checked, or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-")
    except OSError as error:
        raise UnusableFolder(
            folder, str(error.strerror), "set XDG_CACHE_HOME to one that you may write"
        ) from error
    done, total = 0, sum(jar.size for jar in jars)
    with staging as scratch:
        pool = ThreadPoolExecutor(_DOWNLOADS_AT_ONCE)
        try:
            jobs = {
                pool.submit(_download_one, jar, folder, Path(scratch, str(n))): jar
                for n, jar in enumerate(jars)
            }
            for job in as_completed(jobs):
                job.result()
                done += jobs[job].size
                if progress:
                    progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)


def _download_one(jar: Jar, folder: Path, scratch: Path) -> None:
    try:
        from jgo.maven import MavenContext
    except ImportError:
        raise MissingExtra("jgo", "broker", "fetching the embedded Kafka") from None
    # The user's own Maven repository is read first; what is downloaded goes to a scratch one.
    own_repository = MavenContext().repo_cache
    maven = MavenContext(repo_cache=scratch, local_repos=[own_repository], timeout=30)
    group, artifact, version = jar.coordinates.split(":")
    try:
        found = maven.project(group, artifact).at_version(version).artifact().resolve()
        check(jar, found)
        if scratch not in found.parents:
            found = Path(shutil.copyfile(found, scratch.with_suffix(".jar")))
            check(jar, found)
        os.replace(found, folder / jar.filename)
    except (OSError, RuntimeError) as error:
        # A network error's own text is a page of nested representations.
        reason = str(error) if isinstance(error, RuntimeError) else getattr(error, "strerror", None)
        raise FetchFailed(jar.coordinates, reason or type(error).__name__, folder) from error
