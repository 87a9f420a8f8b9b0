"""The shell commands of a page of the documentation."""

import re
from pathlib import Path


def commands(page: Path) -> list[str]:
    """The page's ``bash`` blocks, from top to bottom; its ``console`` blocks cannot be run here, or vary."""
    return re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
