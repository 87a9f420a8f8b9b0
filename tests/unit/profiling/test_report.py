"""Reports say what the data says, whatever the names of functions are; comparisons are of like with like."""

import re
from pathlib import Path

import msgspec
import pytest

from lockstream.profiling.compare import _order, noise, ratios_to_bare
from lockstream.profiling.report.comparison import slowdown_rows, write_comparison
from lockstream.profiling.report.profile import write_report
from lockstream.profiling.results import (
    Comparison,
    Machine,
    MergedSpot,
    Node,
    Picture,
    Profile,
    Slowdown,
    read_comparison,
    read_profile,
)

HOSTILE = "</code><script>alert('x')</script>|`a`"
MACHINE = Machine(processor="<b>p</b>", cores=2, system="s", python="3", load=0.25)


def spot(function: str, *seconds: float, total: float = 10) -> MergedSpot:
    mean = sum(seconds) / len(seconds)
    return MergedSpot(
        file="/x/solver.py",
        line=42,
        function=function,
        text=HOSTILE,
        seconds=seconds,
        shares=tuple(each / total for each in seconds),
        imbalance=max(seconds) / mean,
        calls=tuple(7 for _ in seconds),
    )


def profile(*spots: MergedSpot) -> Profile:
    ranks = len(spots[0].seconds) if spots else 2
    leaf = Node(function=HOSTILE, file="a.py", line=3, seconds=(2.0,) * ranks)
    thin = Node(function="thin", file="a.py", line=4, seconds=(0.001,) * ranks)
    return Profile(
        date="2026-11-28T00:00:00+00:00",
        tool="line",
        unit="line",
        command=("mpirun", "-n", "2", "python", "a b.py"),
        machine=MACHINE,
        rank_seconds=(10.0,) * ranks,
        spots=spots,
        tree=Node(function="program", file="", line=0, seconds=(3.0,) * ranks, children=(leaf, thin)),
        notes=("Kernels <are> not seen.",),
    )


@pytest.mark.parametrize("ranks", [1, 2, 9])
def test_the_page_needs_nothing_else_and_believes_no_name(tmp_path: Path, ranks: int) -> None:
    found = profile(spot(HOSTILE, *range(1, ranks + 1)), spot("even", *[1.0] * ranks))
    write_report(tmp_path, found, [Picture(title="extra", svg="<svg id='extra'></svg>")])
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "<b>p" not in page
    assert page.count("<svg") == 2
    assert not re.search(r"""(?:src|href)=["'](?!#)""", page)
    assert "thin" not in page
    assert "Kernels &lt;are&gt; not seen." in page
    assert read_profile(tmp_path / "report.json") == found


def test_the_markdown_table_stays_a_table(tmp_path: Path) -> None:
    write_report(tmp_path, profile(spot("f", 6.0, 2.0), spot(HOSTILE, 1.0, 1.0)))
    lines = (tmp_path / "report.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}
    row = next(row for row in rows if "solver.py:42 f" in row and "60.0 %" in row and "1.50" in row)
    assert "| 4 | 6 |" in row
    assert "    mpirun -n 2 python 'a b.py'" in lines


def test_a_profile_of_nothing(tmp_path: Path) -> None:
    write_report(tmp_path, profile())
    assert "No place took a share" in (tmp_path / "report.md").read_text()


def test_a_report_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('{"format": 1, "unknown": 2}')
    with pytest.raises(msgspec.ValidationError):
        read_profile(tmp_path / "x")


def test_each_ratio_is_to_the_same_rounds_bare_runs() -> None:
    assert ratios_to_bare([3.0, 10.0], [1.0, 2.0, 4.0, 6.0]) == [2.0, 2.0]
    assert (noise([1.0, 2.0, 4.0, 2.0]).low, noise([1.0, 2.0, 4.0, 2.0]).high) == (0.5, 2.0)


@pytest.mark.parametrize("tools", [["a"], ["a", "b", "c"], ["a", "b", "c", "d", "e"]])
def test_rounds_hold_all_and_begin_differently(tools: list[str]) -> None:
    rounds = [_order(tools, number) for number in range(len(tools))]
    assert all(sorted(each) == sorted(["", "", *tools]) for each in rounds)
    assert {next(name for name in each if name) for each in rounds} == set(tools)


def test_the_comparison_says_what_its_data_says(tmp_path: Path) -> None:
    comparison = Comparison(
        date="2026-11-28T00:00:00+00:00",
        command=("python", "a.py"),
        machine=MACHINE,
        rounds=2,
        bare=noise([1.0, 1.1, 1.0, 0.9]),
        tools=(
            Slowdown(
                tool="line",
                unit="line",
                seconds=(2.0, 4.0),
                median=2.9,
                low=1.9,
                high=3.9,
                ranks=(10.0,),
                spots=(spot("f", 5.0),),
            ),
            Slowdown(
                tool="x", unit="line", seconds=(1.0, 1.0), median=1, low=1, high=1, ranks=(1.0,), spots=()
            ),
        ),
        left_out={"perf": "the kernel <forbids> it"},
    )
    write_comparison(tmp_path, comparison)
    assert slowdown_rows(comparison)[:2] == [
        ("bare, second against first", "1.00", "0.90 to 1.10", "0.9 to 1.1"),
        ("line", "2.90", "1.90 to 3.90", "2 to 4"),
    ]
    page, text = ((tmp_path / f"report.{suffix}").read_text() for suffix in ("html", "md"))
    assert "| line | 2.90 | 1.90 to 3.90 | 2 to 4 |" in text
    assert "solver.py:42 f" in text
    assert "the kernel &lt;forbids&gt; it" in page
    assert read_comparison(tmp_path / "report.json") == comparison
