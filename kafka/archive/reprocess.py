"""Archives a run once more from the first offset that the log has, into another folder."""

from collections import deque
from functools import partial
from pathlib import Path

from lockstream.bridge.client import KafkaOptions
from lockstream.kafka.archive.run_archiver import RunArchiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.log import Cluster, check_available, offsets_available, read_range, reader


def reprocess(options: KafkaOptions, run: str, settings: ArchiveSettings) -> Path:
    """Archive what the log holds of a run now, whether it has ended or not.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    run
        Which run.
    settings
        The ``[archive]`` table; its folder must not hold the run yet, or only a part of it.

    Returns
    -------
    Path
        The run's new folder.

    Raises
    ------
    NoSuchRun, ArchiveRefused, ArchiveLocked, LogUnavailable
        See there.
    """
    cluster = Cluster(options)
    topic = cluster.topic(run)
    consumer = reader(options, enable_partition_eof=True)
    folder = Path(settings.folder)
    try:
        with RunArchiver(folder, topic, settings, confirm=partial(cluster.confirm, topic)) as archiver:
            for partition, first in archiver.next_offsets.items():
                check_available(consumer, topic.name, partition, first)
                high = offsets_available(consumer, topic.name, partition)[1]
                for record in read_range(consumer, topic.name, partition, first, high):
                    deque(archiver.take(partition, record.offset, record.headers, record.value), maxlen=0)
            archiver.finish()
    finally:
        consumer.close()
    return folder / run
