"""The page about runs: every figure in it from the events and headers, and a page whatever is missing."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from charlstm.checkpoint.format import write
from charlstm.checkpoint.run import MODEL
from charlstm.events import EvalDone, Preview, Started, StepDone, Stopped
from charlstm.inspect.history import History, history_of
from charlstm.inspect.pages.run import best_bits, run_page
from charlstm.inspect.pages.run_charts import common_baselines, loss_chart, step_charts, units_of
from charlstm.inspect.runs import RunRecord, read_run
from charlstm.report.blocks import Frames, Page, Table, Text
from charlstm.report.charts import Chart
from charlstm.report.page import html_page
from tests.checkpoint_samples import model

LN2 = math.log(2)


def step(number: int, loss: float = 2.0) -> StepDone:
    return StepDone(number, 0.1, loss, 0.01 / number, 0.5, 1000 * number, number / 2)


def evaluation(number: int, nats: float) -> EvalDone:
    return EvalDone(number, nats + 0.1, nats, nats / LN2, "last", True, number / 2)


def events(factor: float = 1.0):
    return [
        Started("a", 0, 5_000, 4_000, 500, "charlstm train my.txt", "2 cores of X"),
        *(step(number, factor * 4 / number) for number in range(1, 9)),
        evaluation(8, factor * 1.5), Preview(8, "tqe zz"),
        step(16), evaluation(16, factor * 1.2), Preview(16, "the sea\n"),
        Stopped(16, "finished", factor * 1.2, 8.5),
    ]  # fmt: skip


@pytest.fixture
def header(tmp_path: Path):
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / MODEL, model(val_loss=1.2, step=16, tokens=16_000, seconds=8.5))
    return read_run(tmp_path / "a").header


def record(header, name="a", happened=None, **more) -> RunRecord:
    return RunRecord(name, Path("checkpoints") / name, history_of(happened or events()), header, **more)


def blocks(page: Page, kind):
    return [block for section in page.sections for block in section.blocks if isinstance(block, kind)]


def words(page: Page) -> str:
    return "\n".join([page.about, *(block.text for block in blocks(page, Text))])


def test_losses_are_in_bits_against_characters_and_time(header) -> None:
    by_text, by_time = (loss_chart([record(header)], against) for against in ("text", "time"))
    training, validation = by_text.curves
    assert validation.x == (8000, 16000)
    assert validation.mean == pytest.approx((1.5 / LN2, 1.2 / LN2))
    assert by_time.curves[1].x == (4, 8)
    assert by_time.x_label == "seconds of training"
    assert by_text.y_label == "bits per character"
    assert by_text.log_x
    assert training.dashed
    assert training.mean[0] == pytest.approx(1.25 * math.log2(7)), "more than by chance is cut off"
    assert training.mean[1:] == pytest.approx([4 / n / LN2 for n in range(2, 9)] + [2 / LN2])
    assert len(training.x) == 9


def test_a_run_of_hours_is_shown_in_hours(header) -> None:
    happened = [dataclasses.replace(each, seconds=1000 * each.seconds) for each in events()[1:10]]
    chart = loss_chart([record(dataclasses.replace(header, provenance=header.provenance.replace(seconds=None)),
                               happened=happened)], "time")  # fmt: skip
    assert chart.x_label == "minutes of training"
    assert chart.curves[1].x == pytest.approx((4000 / 60,))


@pytest.mark.parametrize(
    ("kind", "bits_per_char", "unit", "bits", "characters"),
    [
        ("char", 1.2 / LN2, "bits per character", 1.2 / LN2, 16_000),
        ("byte", 1.9, "bits per byte", 1.2 / LN2, 16_000),
        ("bpe", 0.6 / LN2, "bits per character", 0.6 / LN2, 32_000),
    ],
)
def test_every_tokenizer_has_its_unit(header, kind, bits_per_char, unit, bits, characters) -> None:
    happened = [step(16), EvalDone(16, 1.3, 1.2, bits_per_char, "last", True, 8.0)]
    about = dataclasses.replace(header, tokenizer={"kind": kind}, provenance=header.provenance.replace(val_loss=None))
    run = record(about, happened=happened)
    assert units_of(run).loss == unit
    assert best_bits(run) == pytest.approx(bits)
    assert loss_chart([run], "text").curves[-1].x == pytest.approx((characters,))


def test_where_the_unit_is_not_known_losses_stay_as_they_are(header) -> None:
    run = record(None, happened=[Started("a", 0, 1, 2, 0), step(1, 2.0)])
    assert units_of(run).loss == "nats per token"
    assert loss_chart([run], "text").curves[0].mean == (2.0,)
    assert "not measured" in words(run_page([run]))


def test_baselines_are_levels_and_words(header) -> None:
    run = record(header, baselines={"order 2": 3.0, "gzip": 3.5, "xz": 1.0})
    chart = loss_chart([run], "text")
    assert [(level.label, level.y) for level in chart.levels] == [("order 2", 3.0), ("gzip", 3.5), ("xz", 1.0)]
    assert "order 2 3.000, gzip 3.500, xz 1.000; it is better than order 2, gzip." in words(run_page([run]))
    other = record(header, baselines={"order 2": 3.0, "gzip": 2.0})
    assert common_baselines([run, other]) == {"order 2": 3.0}
    note = record(header, baselines_note="The text is gone.")
    assert "The text is gone." in words(run_page([note]))


def test_every_preview_can_be_seen_with_its_place(header) -> None:
    (frames,) = blocks(run_page([record(header)]), Frames)
    assert frames.labels == ("4.0s", "8.0s")
    assert [frame[1].text for frame in frames.frames] == ["tqe zz", "the sea\n"]
    assert frames.frames[0][0].text == "After 4 s, 8 k characters read, 2.164 bits per character:"
    assert frames.first == 1


def test_two_runs_are_compared_after_equal_time(header) -> None:
    slow = [
        dataclasses.replace(each, seconds=2 * each.seconds) if hasattr(each, "seconds") else each
        for each in events(1.1)
    ]
    short = dataclasses.replace(header, provenance=header.provenance.replace(seconds=8.0))
    page = run_page([record(short), record(None, "b", slow)])
    (frames,) = blocks(page, Frames)
    assert frames.labels == ("4.0s", "8.0s")
    first, last = frames.frames
    assert [block.text for block in first[1::2]] == ["tqe zz", "(nothing yet)"]
    assert [block.text for block in last[1::2]] == ["the sea\n", "tqe zz"]
    assert last[2].text.startswith("b after 8 s, 8 k characters read, ")
    names = [curve.label for curve in loss_chart([record(short), record(None, "b", slow)], "time").curves]
    assert names == ["a, training", "a", "b, training", "b"]


def test_of_many_runs_only_validation_is_drawn(header) -> None:
    runs = [record(header, name) for name in "abc"]
    assert [curve.label for curve in loss_chart(runs, "time").curves] == ["a", "b", "c"]
    assert [len(chart.curves) for chart in step_charts(runs)] == [3, 3, 3]


def test_settings_that_differ_stand_side_by_side(header) -> None:
    other = dataclasses.replace(header, run=header.run.replace(train=header.run.train.__class__(lr=0.5)))
    page = run_page([record(header), record(other, "b")])
    table = blocks(page, Table)[1]
    assert table.columns == ("setting", "a", "b")
    assert table.rows == (("train.lr", "0.006", "0.5"),)
    assert "lr 0.006" not in words(page)
    assert "No setting differs." in words(run_page([record(header), record(header, "b")]))
    assert "lr 0.006" in words(run_page([record(header)]))


def test_commands_and_machines_of_all_sessions(header) -> None:
    resumed = [*events(), Started("a", 16, 5_000, 4_000, 500, "charlstm train --resume a", "4 cores of Y"), step(17)]
    run = record(header, happened=resumed, diagnosis="All is well.", continue_with="charlstm train --resume a")
    told = words(run_page([run]))
    assert "Trained on 2 cores of X, then on 4 cores of Y" in told
    assert "charlstm train my.txt\ncharlstm train --resume a" in told
    assert "No end is recorded" in told
    assert "All is well." in told


def test_a_run_that_diverged_has_a_page_and_a_chart_that_can_be_read(header) -> None:
    happened = [*events()[:-1], step(17, 1e30), StepDone(18, 0.1, math.nan, 0.1, math.nan, 18_000, 9.0),
                EvalDone(18, math.nan, math.nan, math.nan, "last", False, 9.0),
                Stopped(18, "diverged", 1.2, 9.0, "the loss is nan at step 18")]  # fmt: skip
    run = record(header, happened=happened)
    chart = loss_chart([run], "time")
    uniform = math.log2(header.run.model.vocab_size)
    assert max(y for curve in chart.curves for y in (*curve.mean, *curve.high) if y == y) <= 1.25 * uniform
    page = run_page([run])
    assert "It diverged after 18 steps: the loss is nan at step 18." in words(page)
    assert best_bits(run) == pytest.approx(1.2 / LN2)
    json.dumps(page.data, allow_nan=False)
    assert "nan" not in html_page(page).replace("the loss is nan", "")


@pytest.mark.parametrize(
    "happened",
    [
        [],
        [Started("a", 0, 1, 2, 0)],
        [Started("a", 0, 1, 0, 0), step(1)],
        [Started("a", 0, 1, 2, 3), evaluation(4, 2.0)],
        [Preview(3, "x")],
        [Stopped(0, "interrupted", None, 0.0)],
        [StepDone(1, 0.0, math.nan, 0.0, 0.0, 0, 0.0)],
    ],
    ids=range(7),
)
@pytest.mark.parametrize("with_header", [False, True])
def test_whatever_was_not_recorded_is_left_out(header, happened, with_header) -> None:
    run = RunRecord("a", Path("a"), history_of(happened) if happened else History(), header if with_header else None)
    for runs in ([run], [run, record(header, "b")], [run, run]):
        page = run_page(runs)
        text = html_page(page)
        assert "<h1>Training run" in text
        assert all(section.blocks for section in page.sections)
        assert all(block.curves for block in blocks(page, Chart))
        json.dumps(page.data, allow_nan=False)
