"""Parts of pages of the documentation that are made from measured figures, between marks."""

import re
from collections.abc import Mapping

_BLOCK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def fill(page: str, parts: Mapping[str, str]) -> str:
    """Return a page with what stands between ``<!-- generated: NAME -->`` and ``<!-- end -->`` made anew.

    Raises
    ------
    KeyError
        If the page asks for a part that is not there.
    """

    def made(block: re.Match[str]) -> str:
        return f"{block[1]}{parts[block['name']].strip()}{block[3]}"

    return _BLOCK.sub(made, page)
