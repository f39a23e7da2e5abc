"""Hashed n-grams: rows by an independent hash, whatever they are computed with, carried from window to window."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import ModelConfig
from charlstm.nn.model import CharLM, reset_rows
from charlstm.nn.side_inputs.hashing import rows_of
from charlstm.nn.side_inputs.ngram_embedding import NGrams, look_up, nothing_read


def rows_by_the_docstring(text, order, rows):
    """The rows at the last token of a text of ids, from the definition, in Python's unbounded numbers."""

    def mix(value):
        value %= 2**31
        value = (value ^ (value // 2**15)) * 0x2C1B3C6D % 2**31
        return value ^ (value // 2**12)

    numbers = [0] * order + [token + 1 for token in text]
    found, h = [], mix(numbers[-1])
    for n in range(2, order + 1):
        h = mix(h * 0x1E3779B1 + numbers[-n])
        found.append(h % rows)
    return found


texts = st.lists(st.integers(0, 1_114_111), min_size=1, max_size=9)


@given(texts, st.integers(2, 8), st.integers(1, 1 << 20))
def test_numbers_arrays_and_tensors_give_the_rows_of_the_definition(text, order, rows):
    want = [rows_by_the_docstring(text[: end + 1], order, rows) for end in range(len(text))]
    found, _ = look_up(torch.tensor([text]), nothing_read(1, order, torch.device("cpu")), rows)
    assert found[0].tolist() == want
    padded = [0] * order + [token + 1 for token in text]
    newest_first = padded[: -order - 1 : -1]
    assert rows_of(newest_first, rows) == want[-1]
    assert [row.tolist() for row in rows_of([np.array([number]) for number in newest_first], rows)] == [
        [row] for row in want[-1]
    ]


@given(texts, st.integers(2, 6), st.data())
def test_a_text_read_in_two_windows_finds_the_same_rows(text, order, data):
    ids, nothing = torch.tensor([text]), nothing_read(1, order, torch.device("cpu"))
    cut = data.draw(st.integers(0, len(text)))
    whole, end = look_up(ids, nothing, 1000)
    first, memory = look_up(ids[:, :cut], nothing, 1000)
    second, after = look_up(ids[:, cut:], memory, 1000)
    assert torch.equal(torch.cat((first, second), 1), whole)
    assert torch.equal(after, end)
    assert end[0].tolist() == ([0] * order + [token + 1 for token in text])[1 - order :]


def test_rows_are_used_evenly():
    """Of 65² pairs in 256 rows: 16.5 a row, and by a chi-squared test no more uneven than chance."""
    numbers = np.arange(1, 66)
    (rows,) = rows_of([np.repeat(numbers, 65), np.tile(numbers, 65)], 256)
    counts = np.bincount(rows, minlength=256)
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 350  # 255 degrees of freedom; 1 in 100,000 exceed it


def test_a_network_begins_as_if_it_had_no_table_and_learns_one():
    shape = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 4, "num_layers": 1}
    torch.manual_seed(0)
    plain, model = CharLM(ModelConfig(**shape)), CharLM(ModelConfig(**shape, ngram_order=3, ngram_rows=20))
    model.load_state_dict({**model.state_dict(), **plain.state_dict()})
    ids = torch.tensor([[1, 2, 3, 4, 0, 1]])
    logits, _ = model(ids)
    torch.testing.assert_close(logits, plain(ids)[0])
    logits.square().sum().backward()
    gradient = model.ngrams.table.weight.grad
    assert gradient.is_sparse
    read = {row for end in range(6) for row in rows_by_the_docstring(ids[0, : end + 1].tolist(), 3, 20)}
    assert set(gradient.coalesce().indices()[0].tolist()) == read


def test_dropout_leaves_out_a_share_of_the_n_grams_and_only_in_training():
    module = NGrams(4, 40, 3, dropout=0.25)
    torch.nn.init.ones_(module.table.weight)
    ids, generator = torch.randint(9, (20, 50)), torch.Generator().manual_seed(0)
    looked_up = module(ids, None, generator)[0] * 0.75  # of 3 n-grams those that were kept
    assert looked_up.detach().round().unique().tolist() == [0, 1, 2, 3]
    assert looked_up.mean().item() / 3 == pytest.approx(0.75, abs=0.03)
    whole, part = (
        module(some, None, torch.Generator().manual_seed(1), part)[0]
        for some, part in ((ids, None), (ids[5:9], (5, 20)))
    )
    assert torch.equal(part, whole[5:9])
    module.eval()
    assert (module(ids, None, generator)[0] == 3).all()


def test_a_state_reset_forgets_what_was_read():
    torch.manual_seed(0)
    model = CharLM(ModelConfig(vocab_size=5, hidden_size=4, num_layers=1, ngram_order=3, ngram_rows=20)).eval()
    torch.nn.init.normal_(model.ngrams.table.weight)
    ids = torch.tensor([[1, 2, 3], [3, 2, 1]])
    _, state = model(ids)
    reset = reset_rows(state, torch.tensor([True, False]))
    again, _ = model(ids, reset)
    torch.testing.assert_close(again[0], model(ids)[0][0])
    torch.testing.assert_close(again[1], model(ids, state)[0][1])
