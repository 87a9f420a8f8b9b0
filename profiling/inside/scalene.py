"""``python -m lockstream.profiling.inside.scalene run …``: scalene, without a fault of its start."""

import random  # noqa: F401 - see below
import sys

from scalene.__main__ import main

# Scalene's signal handler imports `random` when it first runs. If that is in the middle of another import, Python 3.11
# loses track of its locks, and the program ends with a KeyError: now and then, before its first line.

if __name__ == "__main__":
    sys.exit(main())
