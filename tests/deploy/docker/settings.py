"""Where the Compose files are, and what their .env says."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[3]
COMPOSE = PROJECT / "compose"
SINGLE = (COMPOSE / "compose.yaml",)
CLUSTER = (COMPOSE / "compose.yaml", COMPOSE / "cluster.yaml")


def settings() -> dict[str, str]:
    """The lines of compose/.env, without their comments."""
    found = re.findall(r"^(\w+)=(.*?)(?:\s+#.*)?$", (COMPOSE / ".env").read_text(), re.MULTILINE)
    return dict(found)
