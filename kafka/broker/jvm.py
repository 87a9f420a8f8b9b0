"""The command lines with which a JVM runs Kafka, and the environment that it gets."""

import os
from collections.abc import Sequence
from pathlib import Path

from lockstream.kafka.broker.distribution import Kafka
from lockstream.kafka.broker.java import Java

# Half the memory and a shorter start than Java's defaults, at the same throughput: the broker shares
# a few cores with the simulation, and what it does is moving bytes, not computing.
# -UsePerfData: no file of ours in /tmp. ExitOnOutOfMemoryError: a broker that is half dead helps nobody.
_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError")


def broker_command(
    java: Java, kafka: Kafka, properties: str, *, heap: str, flags: Sequence[str]
) -> list[str]:
    """Return the command that serves the node described by the file `properties`, in the working folder."""
    logging = Path(__file__).with_name("log4j2.properties").as_uri()
    return [
        str(java.executable),
        *_FLAGS,
        *flags,
        f"-Xmx{heap}",
        f"-Dlog4j2.configurationFile={logging}",
        "-Dlog4j2.disableJmx=true",
        *("-cp", kafka.classpath),
        "kafka.Kafka",
        properties,
    ]


def format_command(java: Java, kafka: Kafka, properties: str, cluster_id: str, *how: str) -> list[str]:
    """Return the command that formats the storage described by the file `properties`; `how` are more options."""
    command = [str(java.executable), *_FLAGS, "-cp", kafka.classpath, "kafka.tools.StorageTool"]
    return [*command, "format", *how, "-t", cluster_id, "-c", properties]


def environment() -> dict[str, str]:
    """Return this process's environment, with a locale in which Java opens files of any name."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}
