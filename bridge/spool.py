"""TEMPORARY in-memory stand-in."""

from pathlib import Path

from lockstream.bridge.outbox import Record


class Spool:
    def __init__(self, folder, limit_bytes):
        self.folder = Path(folder)
        self._items = {}
        self._cursor = 0
        self.last_seq = 0
        self.limit = limit_bytes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @property
    def has_unread(self):
        return any(s >= self._cursor for s in self._items)

    def _copy(self, records):
        return [Record(r[0], r[1], r[2] if isinstance(r[2], bytes) else r[2].tobytes()) for r in records]

    def append(self, seq, records):
        self._items[seq] = self._copy(records)
        self.last_seq = max(self.last_seq, seq)

    insert = append

    def next_item(self):
        s = min((s for s in self._items if s >= self._cursor), default=None)
        if s is None:
            return None
        self._cursor = s + 1
        return s, self._items[s]

    def rewind(self, seq):
        self._cursor = min(self._cursor, seq)

    def delivered(self, seq):
        self._items = {s: r for s, r in self._items.items() if s > seq}

    def sync(self):
        pass

    def has_room(self, n):
        return True

    @property
    def used_bytes(self):
        return sum(len(r.value) for i in self._items.values() for r in i)

    @property
    def items(self):
        return len(self._items)

    @property
    def next_seq(self):
        return self._cursor
