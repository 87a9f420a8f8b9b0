"""Both styles of a pattern as code, side by side: the code that is shown is the code that is measured."""

import inspect

from lockstream.contrast.patterns import in_kafka, in_mpi

_TABLE = """\
<table><tr><th>MPI</th><th>Kafka</th></tr><tr><td>

```python
{mpi}```

</td><td>

```python
{kafka}```

</td></tr></table>
"""


def both_styles(pattern: str) -> str:
    """Return a pattern's code in both styles as a table in Markdown.

    Raises
    ------
    KeyError
        There is no such pattern.
    """
    return _TABLE.format(
        mpi=inspect.getsource(in_mpi.PATTERNS[pattern]), kafka=inspect.getsource(in_kafka.PATTERNS[pattern])
    )
