"""Which runs a prune removes: scores compare within a text and a kind only, and one model that writes stays."""

from __future__ import annotations

from typing import Any

import pytest

from charlstm.checkpoint.prune import surplus
from charlstm.checkpoint.summary import Summary


def run(name: str, bits: float | None = None, text: str | None = "sea", **facts: Any) -> Summary:
    return Summary(name, "", 0.0, bits_per_char=bits, scored_on=text, **facts)


def names(runs: list[Summary]) -> list[str]:
    return [each.name for each in runs]


@pytest.mark.parametrize(("keep", "removed"), [(1, ["b", "c"]), (2, ["c"]), (3, []), (9, [])])
def test_the_newest_stay(keep: int, removed: list[str]) -> None:
    assert names(surplus([run("a"), run("b"), run("c")], keep, "newest")) == removed


@pytest.mark.parametrize(("keep", "removed"), [(1, ["c", "a"]), (2, ["a"]), (3, [])])
def test_the_best_stay(keep: int, removed: list[str]) -> None:
    assert names(surplus([run("a", 2.5), run("b", 2.1), run("c", 2.3)], keep, "val-loss")) == removed


def test_of_two_with_one_score_the_newer_stays() -> None:
    assert names(surplus([run("new", 2.0), run("old", 2.0)], 1, "val-loss")) == ["old"]


def test_scores_compare_only_within_a_text_and_a_kind() -> None:
    runs = [
        run("sea", 2.5),
        run("hill", 1.2, "hill"),
        run("both-sides", 0.9, bidirectional=True),
        run("worse-sea", 2.6),
        run("worse-both-sides", 1.0, bidirectional=True),
    ]
    assert sorted(names(surplus(runs, 1, "val-loss"))) == ["worse-both-sides", "worse-sea"]


def test_what_has_no_score_or_an_unknown_text_is_not_judged() -> None:
    runs = [run("a", 2.0), run("no-validation", None), run("unknown-text", 9.0, None), run("b", 1.9)]
    assert names(surplus(runs, 1, "val-loss")) == ["a"]


@pytest.mark.parametrize("by", ["newest", "val-loss"])
def test_broken_runs_are_neither_counted_nor_removed(by: Any) -> None:
    runs = [
        run("cut", fault="cut short", broken=True),
        run("new", 2.0),
        run("old", 2.1),
        run("begun", fault="no model"),
    ]
    assert names(surplus(runs, 1, by)) == ["old"]


def test_one_model_that_writes_always_stays() -> None:
    fills = {"bidirectional": True}
    runs = [run("fills-2", **fills), run("fills-1", **fills), run("writes-2"), run("writes-1")]
    assert names(surplus(runs, 1, "newest")) == ["fills-1", "writes-1"]
    assert names(surplus(runs, 3, "newest")) == ["writes-1"]
    assert names(surplus(runs[:2], 1, "newest")) == ["fills-1"], "there is none to spare"
