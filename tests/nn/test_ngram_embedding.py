"""N-gram embeddings: rows by an independent hash, whatever they are computed with, carried from window to window."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlstm.nn.dropout import DropoutRng
from charlstm.nn.model import CharLM
from charlstm.nn.side_inputs.base import StepHistory, WindowHistory
from charlstm.nn.side_inputs.hashing import ngram_hashes
from charlstm.nn.side_inputs.ngram_embedding import NgramEmbedding
from charlstm.nn.side_inputs.table import SideInputTable
from tests.networks import architecture


def rows_by_the_docstring(text, order, buckets):
    """The rows at the last token of a text of ids, from the definition, in Python's unbounded numbers."""

    def mix(value):
        value %= 2**31
        value = (value ^ (value // 2**15)) * 0x2C1B3C6D % 2**31
        return value ^ (value // 2**12)

    numbers = [0] * order + [token + 1 for token in text]
    found, h = [], mix(numbers[-1])
    for n in range(2, order + 1):
        h = mix(h * 0x1E3779B1 + numbers[-n])
        found.append(h % buckets)
    return found


def looked_up(side, ids, recent):
    numbers, time = torch.cat((recent, ids + 1), 1), ids.shape[1]
    return side.window_rows(WindowHistory(numbers, time), (), 0)[0], numbers[:, time:]


texts = st.lists(st.integers(0, 1_114_111), min_size=1, max_size=9)


@given(texts, st.integers(2, 8), st.integers(1, 1 << 20))
def test_steps_and_windows_give_the_rows_of_the_definition(text, order, buckets):
    side = NgramEmbedding(ngram_order=order, ngram_buckets=buckets)
    want = [rows_by_the_docstring(text[: end + 1], order, buckets) for end in range(len(text))]
    found, _ = looked_up(side, torch.tensor([text]), torch.zeros(1, order, dtype=torch.int64))
    assert found[0].tolist() == want
    history = StepHistory.of([0] * (order + 1))
    for token, rows in zip(text, want, strict=True):
        history = history.append(token)
        assert side.step_rows(history, None, 0)[0] == rows


@given(texts, st.integers(2, 6), st.data())
def test_a_text_read_in_two_windows_has_the_same_rows(text, order, data):
    side = NgramEmbedding(ngram_order=order, ngram_buckets=1000)
    ids, nothing = torch.tensor([text]), torch.zeros(1, order, dtype=torch.int64)
    cut = data.draw(st.integers(0, len(text)))
    whole, end = looked_up(side, ids, nothing)
    first, recent = looked_up(side, ids[:, :cut], nothing)
    second, after = looked_up(side, ids[:, cut:], recent)
    assert torch.equal(torch.cat((first, second), 1), whole)
    assert torch.equal(after, end)


def test_buckets_are_used_evenly():
    """Of 65² pairs in 256 buckets: 16.5 each, and by a chi-squared test no more uneven than chance."""
    numbers = np.arange(1, 66)
    (hashes,) = ngram_hashes([np.repeat(numbers, 65), np.tile(numbers, 65)])
    counts = np.bincount(hashes % 256, minlength=256)
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 350  # 255 degrees of freedom; 1 in 100,000 exceed it


def test_the_initial_network_ignores_the_table_and_training_uses_it():
    shape = {"vocab_size": 5, "embedding_size": 3, "hidden_size": 4, "num_layers": 1}
    torch.manual_seed(0)
    plain, model = CharLM(architecture(**shape)), CharLM(architecture(**shape, ngram_order=3, ngram_buckets=20))
    model.load_state_dict({**model.state_dict(), **plain.state_dict()})
    ids = torch.tensor([[1, 2, 3, 4, 0, 1]])
    logits, _ = model(ids)
    torch.testing.assert_close(logits, plain(ids)[0])
    logits.square().sum().backward()
    gradient = model.side_inputs["ngrams"].weight.grad
    assert gradient.is_sparse
    read = {row for end in range(6) for row in rows_by_the_docstring(ids[0, : end + 1].tolist(), 3, 20)}
    assert set(gradient.coalesce().indices()[0].tolist()) == read


def test_dropout_drops_a_share_of_n_grams_in_training_only():
    side = NgramEmbedding(ngram_order=4, ngram_buckets=40, ngram_dropout=0.25)
    table = SideInputTable(side, 9, 3)
    torch.nn.init.ones_(table.weight)
    rows = torch.randint(40, (20, 50, 3))
    found = table(rows, DropoutRng(torch.Generator().manual_seed(0))) * 0.75  # of 3 n-grams those that were kept
    assert found.detach().round().unique().tolist() == [0, 1, 2, 3]
    assert found.mean().item() / 3 == pytest.approx(0.75, abs=0.03)
    whole = table(rows, DropoutRng(torch.Generator().manual_seed(1)))
    part = table(rows[5:9], DropoutRng(torch.Generator().manual_seed(1), first_row=5, batch_size=20))
    assert torch.equal(part, whole[5:9])
    table.eval()
    assert (table(rows, DropoutRng()) == 3).all()


def test_a_state_reset_clears_the_history():
    torch.manual_seed(0)
    model = CharLM(architecture(vocab_size=5, hidden_size=4, num_layers=1, ngram_order=3, ngram_buckets=20)).eval()
    torch.nn.init.normal_(model.side_inputs["ngrams"].weight)
    ids = torch.tensor([[1, 2, 3], [3, 2, 1]])
    _, state = model(ids)
    again, _ = model(ids, state.reset(torch.tensor([True, False])))
    torch.testing.assert_close(again[0], model(ids)[0][0])
    torch.testing.assert_close(again[1], model(ids, state)[0][1])
