"""What figures are taken on."""

import os
import platform
import re
from pathlib import Path


def processor_name() -> str:
    """Return the processor as its maker calls it, or else the kind of machine."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def usable_cores() -> int:
    """Return on how many cores this process, and what it starts, may run."""
    return len(os.sched_getaffinity(0))
