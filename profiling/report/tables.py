"""Tables that stand in pages, in Markdown and on the terminal alike."""

from typing import NamedTuple


class Table(NamedTuple):
    """Cells as they are shown; the first column is text, all others are figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        rule = ("---", *("---:" for _ in self.head[1:]))
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.head, rule, *self.rows))
