"""Fill the tables of the documentation from measured results: `python docs/generate.py`; `--check` only looks.

Between `<!-- generated: NAME -->` and `<!-- end -->` a page has what `TABLES[NAME]` makes of the JSON files in
docs/results, which the commands of this repository wrote. Nobody types a figure.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from lockstream.contrast.report import tables
from lockstream.contrast.results import Results, read_results

DOCS = Path(__file__).parent
RESULTS = DOCS / "results"
_MARKED = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, part: Callable[[str], str]) -> str:
    """Return a page's text with its marked parts made anew, each by its name."""
    return _MARKED.sub(lambda found: f"{found[1]}{part(found[2]).strip()}\n{found[3]}", page)


def main() -> int:
    """Fill all pages; with ``--check`` leave them alone, and fail if one is not what the results say."""
    stale = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = filled(text, part)
        if new != text:
            stale.append(page.relative_to(DOCS.parent))
            if "--check" not in sys.argv:
                page.write_text(new, encoding="utf-8")
    for page in stale:
        print(f"{page}: {'is not what docs/results says' if '--check' in sys.argv else 'filled'}")
    return int(bool(stale) and "--check" in sys.argv)
