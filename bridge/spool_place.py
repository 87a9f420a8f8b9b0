"""TEMPORARY."""

from pathlib import Path


def spool_folder(setting, run):
    return Path(setting or "/tmp/spool") / run
