"""The tables of the page on scaling, from what was measured.

::

    python -m lockstream.profiling.scaling.page docs compute=FOLDER checkpoint=FOLDER weak=FOLDER

keeps the reports of `lockstream scaling` in these folders in ``docs/results/scaling.json``; without folders the page
alone is made anew.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from lockstream.profiling.scaling.report import about, finding, parts_table, points_table
from lockstream.profiling.scaling.results import Scaling, read_scaling
from lockstream.profiling.tables import filled

PAGE, RESULTS = Path("explanation/scaling.md"), Path("results/scaling.json")


def make_page(page: str, results: Mapping[str, Scaling]) -> str:
    """Return the page with its tables made anew; part ``NAME-points`` is of the measurement NAME, and so on."""
    parts: dict[str, str] = {}
    for name, found in results.items():
        said = [
            f"`{found.command}`",
            "",
            about(found),
            "",
            *(f"**{warning}**\n" for warning in found.warnings),
        ]
        parts |= {
            f"{name}-about": "\n".join(said).strip(),
            f"{name}-points": points_table(found).markdown,
            f"{name}-parts": parts_table(found).markdown,
            f"{name}-finding": " ".join(finding(found)),
        }
    return filled(page, parts)


def read_results(docs: Path) -> dict[str, Scaling]:
    """Return what the page is made from.

    Raises
    ------
    msgspec.DecodeError
        It is not that.
    """
    return msgspec.json.decode((docs / RESULTS).read_bytes(), type=dict[str, Scaling])


def main(arguments: Sequence[str]) -> None:
    """Make the page of a folder of documentation anew, after taking in new reports."""
    docs = Path(arguments[0])
    results = read_results(docs) if (docs / RESULTS).exists() else {}
    for word in arguments[1:]:
        name, _, folder = word.partition("=")
        results[name] = read_scaling(Path(folder) / "report.json")
    (docs / RESULTS).parent.mkdir(exist_ok=True)
    (docs / RESULTS).write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    (docs / PAGE).write_text(make_page((docs / PAGE).read_text(), results))


if __name__ == "__main__":
    main(sys.argv[1:])
