"""Where the publisher may run, on nodes that are bound in one way or another."""

import os
import platform
from typing import Any

import pytest

from lockstream.bridge.placement import spare_processors


class FakeComm:
    """Ranks of which each says where it is and on which processors."""

    def __init__(self, *others: tuple[str, list[int]]) -> None:
        self._others = others

    def allgather(self, mine: Any) -> list[Any]:
        return [mine, *self._others]


@pytest.mark.parametrize(
    ("mine", "others", "spare"),
    [
        ({0}, [], {1, 2, 3}),
        ({0}, [("here", [1]), ("here", [2, 3])], set()),
        ({0, 1, 2, 3}, [], set()),
        ({0}, [("here", [1])], {2, 3}),
        ({0}, [("there", [1, 2, 3])], {1, 2, 3}),
        ({0}, [("here", [0])], {1, 2, 3}),
    ],
)
def test_what_no_rank_of_this_node_is_bound_to(
    monkeypatch: pytest.MonkeyPatch, mine: set[int], others: list[tuple[str, list[int]]], spare: set[int]
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "here")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: mine)
    assert spare_processors(FakeComm(*others)) == spare  # type: ignore[arg-type]
