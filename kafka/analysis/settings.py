"""The ``[analysis]`` table."""

import msgspec

from lockstream.bridge.errors import ConfigurationError


class AnalysisSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the analysis workers work.

    Parameters
    ----------
    field
        Field to analyse; empty means each run's first two-dimensional one.
    group
        Workers of one group share the work; another group analyses everything once more.
    topic
        Where the results go.
    partitions, replication, retention_hours
        Of that topic, when it has to be made; a replication of -1 leaves it to the broker, a retention of -1
        keeps the results until somebody deletes the topic.
    """

    field: str = ""
    group: str = "lockstream-analysis"
    topic: str = "lockstream.results"
    partitions: int = 4
    replication: int = -1
    retention_hours: float = -1

    def __post_init__(self) -> None:
        for key in ("group", "topic"):
            if not getattr(self, key):
                raise ConfigurationError(f"analysis.{key}", "", "must not be empty")
        if self.partitions < 1:
            raise ConfigurationError("analysis.partitions", self.partitions, "must be at least 1")
        if self.replication < 1 and self.replication != -1:
            raise ConfigurationError("analysis.replication", self.replication, "must be at least 1, or -1")
        if self.retention_hours <= 0 and self.retention_hours != -1:
            raise ConfigurationError(
                "analysis.retention_hours", self.retention_hours, "must be positive, or -1"
            )
