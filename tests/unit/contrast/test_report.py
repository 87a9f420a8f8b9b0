import html
import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from support.findings import findings

from lockstream.contrast.report import tables, words
from lockstream.contrast.report.page import draw, write_report
from lockstream.contrast.results import Outcome, Results, read_results, write_results


def every_table(results: Results) -> list[tables.Table]:
    return [
        tables.verdict_table(results.verdicts),
        tables.summary_table(results.measurements),
        tables.cost_table(results.measurements),
        tables.dimension_table(results.measurements),
        tables.fit_table(results.fits),
        tables.machine_table(results),
        *(tables.experiment_table(experiment) for experiment in results.experiments),
        *(tables.pattern_table(results.measurements, p) for p in {m.pattern for m in results.measurements}),
    ]


def cells(table: tables.Table) -> list[str]:
    return [cell for row in [table.headings, *table.rows] for cell in row if cell]


def test_every_row_has_a_cell_for_every_heading() -> None:
    for table in every_table(findings()):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.headings)}, table.headings


def test_results_survive_being_written(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", findings())
    assert read_results(tmp_path / "results.json") == findings()


def test_results_of_another_kind_are_refused(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", findings())
    other = (tmp_path / "results.json").read_text().replace('"format": 2', '"format": 1')
    (tmp_path / "results.json").write_text(other)
    with pytest.raises(msgspec.DecodeError, match="format"):
        read_results(tmp_path / "results.json")


def test_page_and_markdown_show_every_figure(tmp_path: Path) -> None:
    results = findings()
    page = write_report(tmp_path, results)
    shown = [table for table in every_table(results) if table != tables.summary_table(results.measurements)]
    text = html.unescape(page.read_text())
    markdown = (tmp_path / "report.md").read_text()
    for cell in (cell for table in shown for cell in cells(table)):
        assert f">{cell}<" in text
        assert f"| {cell} |" in markdown
    assert results.experiments[0].finding in text
    assert results.experiments[0].finding in markdown


def test_nothing_in_the_results_becomes_markup(tmp_path: Path) -> None:
    page = write_report(tmp_path, findings()).read_text()
    assert "the job &lt;died&gt;" in page
    assert "<died>" not in page


def test_a_report_of_parts_alone_has_those_parts_alone(tmp_path: Path) -> None:
    whole = findings()
    parts = Results(
        date=whole.date, seconds=1.0, is_quick=True, machine=whole.machine, experiments=whole.experiments
    )
    page = write_report(tmp_path, parts).read_text()
    assert set(re.findall(r'<h2 id="([a-z]+)"', page)) == {"experiments", "machine"}
    assert set(re.findall(r'href="#([a-z]+)"', page)) == {"experiments", "machine"}


def test_a_throughput_of_one_size_is_no_picture(tmp_path: Path) -> None:
    """As in a quick run."""
    whole = findings()
    few = [m if m.nbytes == 1024 else msgspec.structs.replace(m, throughput=None) for m in whole.measurements]
    page = write_report(tmp_path, msgspec.structs.replace(whole, measurements=tuple(few))).read_text()
    assert not (tmp_path / "throughput.svg").exists()
    assert "<h3>Throughput</h3>" not in page
    assert "What a byte costs" in page
    assert "throughput.svg" not in (tmp_path / "report.md").read_text()


def test_pictures_are_the_same_for_the_same_figures_and_need_nothing_else() -> None:
    first, second = draw(findings()), draw(findings())
    assert first == second
    assert set(first) == {"latency", "throughput", "fits"}
    for svg in first.values():
        ElementTree.fromstring(svg)  # noqa: S314 - it is our own
        assert not re.search(r'href="http', svg)


def test_costs_are_compared_at_the_largest_size_that_both_styles_have() -> None:
    results = findings()
    largest = max(m.nbytes for m in results.measurements)
    fewer = [m for m in results.measurements if (m.style, m.nbytes) != ("kafka", largest)]
    assert all("1 MiB" in row[0] for row in tables.cost_table(fewer).rows)
    assert all("64 MiB" in row[0] for row in tables.cost_table(results.measurements).rows)
    assert {row[-1] for row in tables.cost_table(fewer).rows} == {"12.0×"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12, "12"), (12.345, "12.3"), (0.01234, "0.0123"), (123456.0, "123,456"), (100.4, "100")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (3.21e-6, "3.21 µs"), (0.5, "500 ms"), (90, "90 s"), (2e-10, "0.200 ns")],
)
def test_durations_have_a_unit_that_fits(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_a_figure_that_could_not_come_about_says_why() -> None:
    outcome = Outcome(subject="MPI", quantity="lost", value=None, unit="s", note="the job died")
    assert words.figure(outcome) == "the job died"


def test_one_is_not_said_as_many_are() -> None:
    one, half = (Outcome(subject="MPI", quantity="lost", value=value, unit="messages") for value in (1, 0.5))
    assert words.figure(one) == "1 message"
    assert words.figure(half) == "0.500 messages"
    assert words.figure(Outcome(subject="MPI", quantity="rate", value=1, unit="steps/s")) == "1 steps/s"


def test_intervals_have_the_unit_of_the_median() -> None:
    assert words.duration_between(0.9e-3, 0.8e-3, 1.2e-3) == "900 [800, 1,200] µs"
    assert words.rate_between(2e9, 0.5e9, 2.25e9) == "2 [0.500, 2.25] GB/s"


def test_more_subjects_than_quantities_become_rows() -> None:
    outcomes = tuple(Outcome(subject=s, quantity="held", value=2, unit="steps") for s in "abc")
    turned = tables.experiment_table(msgspec.structs.replace(findings().experiments[0], outcomes=outcomes))
    assert turned.headings == ("", "held")
    assert [row[0] for row in turned.rows] == ["a", "b", "c"]


def test_a_figure_shows_its_interval() -> None:
    outcome = Outcome(subject="MPI", quantity="waited", value=0.5, unit="s", low=0.4, high=0.6)
    assert words.figure(outcome) == "500 ms (400 ms to 600 ms)"
