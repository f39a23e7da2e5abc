"""The text that a page shows first."""

from __future__ import annotations

import pytest

from charlstm.checkpoint.writing import Writing
from charlstm.sampling.config import settings_for
from charlstm.sampling.first_text import first_text
from charlstm.sampling.sampler import sample
from tests.fake_models import random_markov

STARTS = ("ab. A bab", "a. Bab ")


def test_it_is_what_the_network_writes_after_the_opening() -> None:
    model, writing = random_markov("abAB. \n", 3), Writing(starts=STARTS)
    config = settings_for(writing, length=240, seed=1)
    drawn = "".join(each.text for each in sample(model, model.tokenizer.encode("Bab "), config, starts=STARTS))
    text = first_text(model, writing)
    assert drawn.startswith(text)
    assert first_text(model, writing) == text
    ends = [place for place in range(80, len(drawn) - 1) if drawn[place] == "." and drawn[place + 1].isspace()]
    assert len(text) == (ends[-1] + 1 if ends else 240)


@pytest.mark.parametrize("writing", [Writing(), Writing(starts=("no sentence",)), Writing(starts=STARTS, record="\n")])
def test_without_an_opening_there_is_none(writing: Writing) -> None:
    assert first_text(random_markov("abAB. \n", 3), writing) == ""


def test_characters_of_the_opening_that_it_does_not_know_are_left_out() -> None:
    model = random_markov("abAB. \n", 3)
    known, unknown = (first_text(model, Writing(starts=(f"a. Bab{end}",))) for end in (" ", "漢 "))
    assert known == unknown != ""
