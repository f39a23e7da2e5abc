"""What is rendered from the records: medians computed here once more, and pages that are up to date."""

import argparse

import pytest

from benchmarks import records, render
from benchmarks.records import Record
from benchmarks.render import ReadmeRow

ONE = {"processor": "A", "cores": 2, "bf16": True, "torch": "2.0"}
OTHER = {"processor": "B", "cores": 2, "bf16": False, "torch": "2.0"}


def write(folder, date, commit, machine, figures, **fields):
    made = Record("sampling", date, commit, machine, f"python -m benchmarks.sampling # {date}", **fields)
    for row, name, values in figures:
        made.add(row, name, "characters per second", values)
    made.finish(argparse.Namespace(record=True), folder)


@pytest.fixture
def folder(tmp_path, capsys):
    old = [("2×256", "charlstm", [1.0]), ("2×256", "peer", [9.0]), ("1×64", "charlstm", [5.0])]
    write(tmp_path, "2026-01-01", "aaaaaaa", ONE, old)
    write(tmp_path, "2026-01-02", "bbbbbbb", ONE, [("2×256", "charlstm", [20.0, 10.0, 14.0])])
    write(tmp_path, "2026-01-03", "bbbbbbb", ONE, [("2×256", "charlstm", [16.0])])
    write(tmp_path, "2026-01-02", None, OTHER, [("2×256", "charlstm", [7.0])], origin="log")
    return tmp_path


def cells(page, row, section):
    """The cells of a row in the section of a machine."""
    lines = page.partition(f"### {section}")[2].partition("### ")[0].splitlines()
    return next([cell.strip() for cell in line.split("|")[2:-1]] for line in lines if line.startswith(f"| {row} |"))


def test_a_cell_is_the_median_of_all_values_at_the_newest_commit(folder):
    """The peer, measured at an older commit only, is not shown beside it."""
    page = render.results_page(folder)
    in_order = sorted([20.0, 10.0, 14.0, 16.0])
    median = (in_order[1] + in_order[2]) / 2
    assert cells(page, "2×256", "A, 2 cores, bf16") == [f"{median:g}", "4", "bbbbbbb", "2026-01-03"]


def test_a_row_not_measured_since_keeps_its_older_commit(folder):
    assert cells(render.results_page(folder), "1×64", "A, 2 cores, bf16") == ["5", "1", "aaaaaaa", "2026-01-01"]


def test_a_figure_without_a_commit_is_marked(folder):
    page = render.results_page(folder)
    assert cells(page, "2×256", "B, 2 cores, no bf16") == ["7", "1", "before records", "2026-01-02"]


def test_only_commands_of_what_is_shown_are_listed(folder):
    page = render.results_page(folder)
    assert "# 2026-01-03" in page
    assert "# 2026-01-01" in page
    assert page.count("$ python -m benchmarks.sampling") == 3


def test_what_a_network_wrote_stands_below_the_tables_the_newest_of_each_row(tmp_path, capsys):
    for day, text in (("2026-01-01", "old"), ("2026-01-02", "new ~~~ `x`\n\n")):
        write(tmp_path, day, "aaaaaaa", ONE, [("lyrics", "loss", [1.0])], details={"samples": {"lyrics": text}})
    page = render.results_page(tmp_path)
    assert page.endswith("**lyrics**\n\n~~~text\nnew ~ ~ ~ `x`\n~~~\n")
    assert "old" not in page.partition("**lyrics**")[2]


def test_the_readme_compares_within_one_commit(folder):
    row = ReadmeRow("writing", "sampling", "2×256", "charlstm", "peer", "a peer", "", scale=2)
    lines = render.readme_block(folder, [row]).splitlines()
    assert lines[2] == "| writing | 2.00 | 18.00 (a peer) | aaaaaaa |"


def test_a_comparison_that_was_never_measured_is_an_error(folder):
    row = ReadmeRow("writing", "sampling", "1×64", "charlstm", "peer", "a peer", "")
    with pytest.raises(SystemExit, match="no record has both 'charlstm' and 'peer'"):
        render.readme_block(folder, [row])


def test_the_block_replaces_what_is_between_the_markers():
    page = f"before\n{render.BEGIN}\nold\n{render.END}\nafter\n"
    assert render.with_block(page, "new") == f"before\n{render.BEGIN}\nnew\n{render.END}\nafter\n"
    with pytest.raises(SystemExit, match="without"):
        render.with_block(f"{render.BEGIN} and no end", "new")


def test_the_rendered_pages_are_up_to_date():
    assert (render.ROOT / "docs" / "RESULTS.md").read_text("utf-8") == render.results_page()
    pages = render.pages()
    assert pages, "no page has the markers"
    for page in pages:
        text = page.read_text("utf-8")
        assert text == render.with_block(text, render.readme_block()), f"{page.name}: python -m benchmarks.render"


def test_the_readme_has_at_most_four_rows():
    assert len(render.readme_block().splitlines()) - 2 <= 4


def test_every_file_of_records_is_rendered_and_every_figure_has_a_unit():
    names = {path.stem for path in records.RESULTS.glob("*.jsonl")}
    assert names <= set(render.ORDER)
    for name in names:
        for record in records.load(name):
            assert record.commit or record.origin, f"{name}: a figure without a commit"
            assert all(figure.unit and figure.values for figure in record.figures)
