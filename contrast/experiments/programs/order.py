"""Counting which numbers come out of turn."""


class Order:
    """Looks at numbers that come in ways of their own; a number is out of turn if a higher one has come before."""

    def __init__(self) -> None:
        self._highest: dict[int, int] = {}
        self._within = self._over_all = self._count = 0

    def take(self, way: int, number: int) -> None:
        """Take the next number, which has come by `way`: a partition, or a sender."""
        self._count += 1
        self._over_all += number < max(self._highest.values(), default=-1)
        before = self._highest.get(way, -1)
        self._within += number < before
        self._highest[way] = max(before, number)

    def found(self) -> dict[str, int]:
        """Return how many came (count), and how many of them out of turn within a way (within) and over all."""
        return {"count": self._count, "within": self._within, "over_all": self._over_all}
