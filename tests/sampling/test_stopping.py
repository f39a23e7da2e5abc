"""The stop rules against a search through the whole text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlstm.sampling.stopping import StopRules

LETTERS = st.text("ab\n", max_size=30)
PIECES = st.lists(st.text("ab\n", max_size=4), max_size=20)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)


def cut(text: str, stops: list[str], lines: int, afters: list[str]) -> tuple[str, str | None]:
    """The text up to its end and the reason for it, by trying every end in turn."""
    for end in range(1, len(text) + 1):
        starts = [end - len(stop) for stop in stops if stop not in afters and text[:end].endswith(stop)]
        starts += [end for stop in afters if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], "stop"
        if lines and text[:end].count("\n") == lines:
            return text[:end], "lines"
    return text, None


@given(pieces=PIECES, stops=STOPS, lines=st.integers(0, 3), afters=STOPS)
@example(pieces=["a\n", "\n"], stops=["\n\n"], lines=1, afters=[])
@example(pieces=["\n"], stops=["\n"], lines=1, afters=[])
@example(pieces=["ab", "a"], stops=["b", "aba"], lines=0, afters=[])
@example(pieces=["a", "b", "a"], stops=[], lines=0, afters=["aba"])
@example(pieces=["aba"], stops=["ba"], lines=0, afters=["ba"])
def test_pieces_end_where_the_whole_text_does(
    pieces: list[str], stops: list[str], lines: int, afters: list[str]
) -> None:
    rules = StopRules(stops, lines, afters)
    returned = "".join(rules.push(piece) for piece in pieces)
    returned += rules.flush()
    assert (returned, rules.finish_reason) == cut("".join(pieces), stops, lines, afters)


@given(text=LETTERS, stops=STOPS)
def test_only_text_that_could_become_a_stop_text_is_held_back(text: str, stops: list[str]) -> None:
    rules, returned = StopRules(stops), ""
    for place, character in enumerate(text, 1):
        returned += rules.push(character)
        if rules.finish_reason:
            break
        held = text[len(returned) : place]
        assert returned + held == text[:place]
        # The held text is a prefix of a stop text, and no longer suffix is.
        assert not held or any(stop.startswith(held) for stop in stops)
        for start in range(len(returned)):
            assert not any(stop.startswith(text[start:place]) for stop in stops)


def test_nothing_is_held_back_without_stop_texts() -> None:
    rules = StopRules(lines=2)
    assert [rules.push(piece) for piece in ("a", "b\nc", "d\ne", "f")] == ["a", "b\nc", "d\n", ""]
    assert rules.finish_reason == "lines"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_stop_text_may_be_cut_anywhere(size: int) -> None:
    text = "Speak. THE END and more"
    rules = StopRules(["THE END"])
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert "".join(map(rules.push, pieces)) == "Speak. "
    assert (rules.finish_reason, rules.flush()) == ("stop", "")
