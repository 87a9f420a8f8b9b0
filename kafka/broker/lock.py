"""Write artifacts.toml anew: `python -m lockstream.kafka.broker.lock [KAFKA_VERSION]` (for maintainers).

Everything is downloaded into an empty Maven repository, so that nothing on this machine gets pinned.
"""

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jgo.maven import MavenContext

_HEAD = """\
# The jars of the embedded Kafka, checked before they are run.
# Written by `python -m lockstream.kafka.broker.lock`: do not edit.
"""


def main() -> None:
    """Pin the Kafka version given as argument, by default the one that is pinned now."""
    target = Path(__file__).with_name("artifacts.toml")
    if len(sys.argv) > 1:
        version = sys.argv[1]
    else:
        from lockstream.kafka.broker.artifacts import pinned

        version = pinned().version
    target.write_text(lock(version), encoding="utf-8")
    sys.stdout.write(f"{target} now pins Kafka {version}\n")


def lock(version: str) -> str:
    """Return the text of artifacts.toml for this version of Kafka."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as scratch:
        maven = MavenContext(repo_cache=Path(scratch))
        entries = sorted(_entry(maven, coordinates) for coordinates in _closure(maven, version))
    return f'{_HEAD}\nkafka = "{version}"\n' + "".join(entries)


def _closure(maven: "MavenContext", version: str) -> list[str]:
    """Return the coordinates of Kafka, of all that it needs at run time, and of its SLF4J binding."""
    from jgo.maven import Dependency

    kafka = maven.project("org.apache.kafka", "kafka_2.13").at_version(version).artifact()
    _, needed = maven.resolver.resolve([Dependency(kafka)])
    artifacts = [kafka, *(dependency.artifact for dependency in needed)]
    found = {
        artifact.artifactId: f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        for artifact in artifacts
    }
    # Kafka's POM names log4j but no binding from SLF4J to it. Resolved together with Kafka, the binding's
    # parent POM would pin an old kafka-clients, so it is taken by itself, in log4j's version.
    log4j = found["log4j-core"].rpartition(":")[2]
    return [*found.values(), f"org.apache.logging.log4j:log4j-slf4j-impl:{log4j}"]


def _entry(maven: "MavenContext", coordinates: str) -> str:
    group, artifact, version = coordinates.split(":")
    content = maven.project(group, artifact).at_version(version).artifact().resolve().read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return f'\n[[jar]]\ncoordinates = "{coordinates}"\nsha256 = "{digest}"\nsize = {len(content)}\n'


if __name__ == "__main__":
    main()
