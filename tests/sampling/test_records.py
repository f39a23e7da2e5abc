"""Whole records: all different, those that are known told apart, and what has no end left out."""

import numpy as np
import pytest

from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.writing import Writing
from charlstm.errors import CorruptError, UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.records import draw_records
from charlstm.tokenizers import CharTokenizer
from tests.fake_models import Markov

TOKENIZER = CharTokenizer("\nabc")
LETTERS = np.log(np.array([[1e-9, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]))
"""A letter first, then letters or the end, all alike."""
WRITING = Writing(record="\n", longest_record=4)


def draw(count, *, known=(), table=LETTERS, **options):
    config = SampleConfig(length=options.pop("length", 0), temperature=1.0, stop="\n", seed=options.pop("seed", 3))
    model = Markov(table, TOKENIZER)
    return list(draw_records(model, WRITING, KnownRecords.of(known), config, count, **options))


def test_as_many_different_whole_records_as_wanted():
    texts = [record.text for record in draw(30)]
    assert len(set(texts)) == len(texts) == 30
    assert all(text and "\n" not in text and len(text) < 8 for text in texts)


def test_the_same_seed_gives_the_same_and_more_of_them_begin_alike():
    assert [record.text for record in draw(5)] == [record.text for record in draw(5)]
    assert [record.text for record in draw(5)] != [record.text for record in draw(5, seed=4)]


def test_what_the_network_has_read_is_told_apart_or_left_out():
    known = ["a", "b", "c", "aa"]
    drawn = draw(15, known=known)
    assert {record.text for record in drawn if not record.is_new} == {record.text for record in drawn} & set(known)
    assert any(not record.is_new for record in drawn)
    assert all(record.text not in known for record in draw(15, known=known, new_only=True))


def test_a_network_that_knows_few_records_gives_those():
    only_a = np.log(np.array([[1e-9, 1, 1e-9, 1e-9], [1, 1e-9, 1e-9, 1e-9], [1, 0.1, 1, 1], [1, 0.1, 1, 1]]))
    assert [record.text for record in draw(3, table=only_a)] == ["a"]
    assert draw(3, table=only_a, known=["a"], new_only=True) == []


def test_what_never_ends_is_left_out():
    endless = np.log(np.array([[1e-12, 1, 1, 1]] * 4))
    assert draw(3, table=endless) == []


def test_a_prompt_begins_each_record_after_the_end_of_another():
    model = Markov(LETTERS, TOKENIZER)
    config = SampleConfig(length=0, temperature=1.0, stop="\n", seed=3)
    drawn = list(draw_records(model, WRITING, KnownRecords(), config, 4, prompt="ca"))
    assert all(record.text.startswith("ca") for record in drawn)
    assert model.steps[:3] == [[TOKENIZER.encode("\n")[0]], [TOKENIZER.encode("c")[0]], [TOKENIZER.encode("a")[0]]]


def test_one_record_at_temperature_zero():
    config = SampleConfig(length=9, temperature=0.0, stop="\n")
    certain = np.log(np.array([[1e-9, 1, 1e-9, 1e-9], [1, 0.5, 0.5, 0.5], [1, 1, 1, 1], [1, 1, 1, 1]]))
    drawn = list(draw_records(Markov(certain, TOKENIZER), WRITING, KnownRecords(), config, 9))
    assert [record.text for record in drawn] == ["a"]


def test_no_record_is_no_wish():
    with pytest.raises(UsageError, match="count"):
        draw(0)


def test_known_records_survive_a_file_and_damage_is_noticed():
    known = KnownRecords.of(["Ada", "Bob", "Ada", "Cleo"])
    again = KnownRecords.from_tensor(known.digests)
    assert len(again) == 3
    assert "Bob" in again
    assert "Bo" not in again
    assert "Ada" not in KnownRecords()
    for damaged in (known.digests[::-1], known.digests.astype(np.float32), known.digests[None]):
        with pytest.raises(CorruptError):
            KnownRecords.from_tensor(damaged)


def test_the_records_of_several_lists_are_known_together() -> None:
    both = KnownRecords.union([KnownRecords.of(["Ada", "Bob"]), KnownRecords.of(["Cleo", "Ada"])])
    assert both == KnownRecords.of(["Ada", "Bob", "Cleo"])
    assert KnownRecords.union([]) == KnownRecords()
