"""The report of a profiled run."""

from collections.abc import Sequence
from pathlib import Path

from lockstream.profiling.report.figures import shares_picture
from lockstream.profiling.report.pages import write_pages
from lockstream.profiling.report.words import findings, unequal
from lockstream.profiling.results import Picture, Profile, write_json

SPOTS = 25  # the JSON has all
UNEQUAL_SPOTS = 8
TREE_SHARE = 0.01  # of all time; thinner branches are in the JSON only


def write_report(folder: Path, profile: Profile, pictures: Sequence[Picture] = ()) -> None:
    """Write ``report.html``, ``report.md`` and ``report.json`` into a folder."""
    bars = shares_picture(profile.spots)
    values = {
        "profile": profile,
        "spots": profile.spots[:SPOTS],
        "unequal": unequal(profile)[:UNEQUAL_SPOTS],
        "findings": findings(profile),
        "pictures": [*([bars] if bars else []), *pictures],
        "least": TREE_SHARE * sum(profile.tree.seconds) if profile.tree else 0.0,
    }
    write_pages(folder, "profile", values)
    write_json(folder / "report.json", profile)
