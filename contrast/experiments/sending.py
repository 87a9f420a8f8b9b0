"""What the programs `sender` and `receiver` are asked."""

import uuid
from typing import Any

from lockstream.contrast.rig import Rig

SENDER, RECEIVER = "experiments.programs.sender", "experiments.programs.receiver"


def to_send(
    rig: Rig,
    topic: str,
    messages: int,
    *,
    nbytes: int = 1024,
    interval: float = 0.0,
    partitions: int = 1,
    **settings: Any,
) -> dict[str, Any]:
    """Return what a sender is asked; `settings` of its client, with _ for the dots."""
    return {
        "servers": rig.servers,
        "topic": topic,
        "messages": messages,
        "nbytes": nbytes,
        "interval": interval,
        "broker_pid": rig.broker_pid,
        "partitions": partitions,
        "settings": {key.replace("_", "."): value for key, value in settings.items()},
    }


def to_receive(
    rig: Rig, topic: str, messages: int, *, work: float = 0.0, keeps_place: bool = False
) -> dict[str, Any]:
    """Return what a receiver is asked; each has a group of its own."""
    name = f"contrast-{uuid.uuid4().hex[:12]}"
    return {
        "servers": rig.servers,
        "topic": topic,
        "group": name,
        "work": work,
        "last": messages - 1,
        "journal": str(rig.folder / f"{name}.journal"),
        "keeps_place": keeps_place,
        "dies_at": -1,
    }
