"""The page that shows both styles of each pattern: the code on it is the code that is measured.

``python -m lockstream.contrast.patterns.side_by_side PAGE`` renews it.
"""

import inspect
import re
import sys
from pathlib import Path

from lockstream.contrast.patterns import in_kafka, in_mpi

_PLACE = re.compile(r"(<!-- code of ([a-z-]+) -->\n).*?(<!-- end of code -->)", re.DOTALL)
_TABLE = """\
<table><tr><th>MPI</th><th>Kafka</th></tr><tr><td>

```python
{mpi}```

</td><td>

```python
{kafka}```

</td></tr></table>
"""


def renewed(page: str) -> str:
    """Return the text of the page with the code, between its markers, as it is now.

    Raises
    ------
    KeyError
        A marker names no pattern.
    """
    return _PLACE.sub(lambda place: f"{place[1]}{_code(place[2])}{place[3]}", page)


def _code(pattern: str) -> str:
    return _TABLE.format(
        mpi=inspect.getsource(in_mpi.PATTERNS[pattern]), kafka=inspect.getsource(in_kafka.PATTERNS[pattern])
    )


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(renewed(page.read_text()))
