"""How a stream is doing, as a text file for Prometheus.

The form is that of the text-based exposition format; the node exporter's textfile collector picks such files up
(``--collector.textfile.directory``), which works where nothing may listen on a port.
"""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

EVERY_SECONDS = 5.0


class Metric(NamedTuple):
    """A counter in the terms of Prometheus."""

    name: str
    kind: str
    unit: float
    help: str


METRICS: Mapping[str, Metric] = {
    "accepted": Metric("steps_accepted_total", "counter", 1, "Steps taken over by the bridge."),
    "acknowledged": Metric("steps_acknowledged_total", "counter", 1, "Steps stored by Kafka."),
    "spilled": Metric("steps_spilled_total", "counter", 1, "Steps that went through the spool."),
    "dropped": Metric("steps_dropped_total", "counter", 1, "Steps left out, each with a gap in the stream."),
    "spooled": Metric("steps_spooled", "gauge", 1, "Steps that only the spool has."),
    "outstanding": Metric("outstanding_bytes", "gauge", 1, "Bytes sent and not acknowledged."),
    "publish_us": Metric("publish_seconds_total", "counter", 1e-6, "Time rank 0 spent publishing."),
    "wait_us": Metric("wait_seconds_total", "counter", 1e-6, "The part of it spent waiting for a free slot."),
    "longest_wait_us": Metric("longest_wait_seconds", "gauge", 1e-6, "Longest wait of one step."),
    "throttled": Metric("throttled_total", "counter", 1, "Responses that Kafka delayed to hold a quota."),
    "throttled_ms": Metric("throttled_seconds_total", "counter", 1e-3, "How long it delayed them."),
}


def exposition(counted: Mapping[str, int], run: str, attempt: int) -> str:
    """Return the counters in Prometheus' text format.

    Parameters
    ----------
    counted
        Values by the names of `METRICS`.
    run, attempt
        Become labels.
    """
    lines = []
    for key, metric in METRICS.items():
        name = f"lockstream_{metric.name}"
        value = counted[key] * metric.unit
        lines += [
            f"# HELP {name} {metric.help}",
            f"# TYPE {name} {metric.kind}",
            f'{name}{{run="{run}",attempt="{attempt}"}} {value:.10g}',
        ]
    return "\n".join(lines) + "\n"


class MetricsFile:
    """Keeps such a file up to date, from a thread of its own; a context manager.

    Parameters
    ----------
    path
        The file; it is replaced as a whole.
    text
        Makes its content.
    """

    def __init__(self, path: Path, text: Callable[[], str]) -> None:
        self._path, self._text = path, text
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lockstream-metrics", daemon=True)

    def __enter__(self) -> "MetricsFile":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._write()
        self._write()  # the last word

    def _write(self) -> None:
        """A disk that is full must not end a run that goes well."""
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            unfinished.write_text(self._text())
            unfinished.replace(self._path)
