"""Waiting on a condition, with a limit."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], limit: float = 30.0, pause: float = 0.01) -> None:
    """Look again and again until `condition` holds; an error after `limit` seconds. `pause`: between two looks."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not come true within {limit} s")
        time.sleep(pause)
