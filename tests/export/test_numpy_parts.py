"""The modules that programs are made of, as they are: each computes what its counterpart in the package does."""

from __future__ import annotations

import ast
from importlib import resources

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlstm.export.numpy_file import MODULES
from charlstm.export.numpy_parts import attention, cells, ngrams, pieces, sampling, settings
from charlstm.export.numpy_settings import known
from charlstm.nn.attention import attend, empty_memory
from charlstm.nn.cells import STEPS, next_state
from charlstm.nn.shapes import CELLS, attention_shapes
from charlstm.nn.side_inputs.hashing import ngram_hashes
from charlstm.sampling import filters
from charlstm.sampling.repeats import Repeats
from tests.export.samples import KINDS, checkpoint

SOURCES = {
    name: resources.files("charlstm.export.numpy_parts").joinpath(f"{name}.py").read_text("utf-8") for name in MODULES
}
logits = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=9).map(np.array)


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_that_of_the_equations(cell):
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in CELLS[cell].shapes(3, 4).values()]
    x, *state = (rng.normal(size=size).astype(np.float32) for size in (3, *[4] * len(CELLS[cell].states)))
    after = getattr(cells, cell)(x, tuple(state), *weights)
    tensors = [torch.from_numpy(weight) for weight in weights]
    rows = [torch.from_numpy(part[None]) for part in (x, *state)]
    wanted = next_state(cell, STEPS[cell](rows[0], tuple(rows[1:]), *tensors))
    for part, want in zip(after, wanted, strict=True):
        np.testing.assert_allclose(part, want[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("window", [1, 3, 50])
def test_attention_is_that_of_the_equations(window, monkeypatch):
    monkeypatch.setattr(attention, "ATTENTION_WINDOW", window)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in attention_shapes(5).values()]
    tensors = [torch.from_numpy(weight) for weight in weights]
    hidden = rng.normal(size=(20, 5)).astype(np.float32)
    wanted, _ = attend(torch.from_numpy(hidden[None]), empty_memory(1, window, 5, tensors[0]), *tensors)
    memory = (np.zeros((0, 5), np.float32), np.zeros((0, 5), np.float32))
    for h, want in zip(hidden, wanted[0], strict=True):
        attended, memory = attention.attend(h, memory, *weights)
        np.testing.assert_allclose(attended, want.numpy(), atol=1e-5)


@given(st.lists(st.integers(0, 1 << 21), min_size=2, max_size=16).map(tuple))
def test_hashes_are_those_of_the_package(recent):
    hashes = [ngrams.ngram_hash(recent[:order]) for order in range(2, len(recent) + 1)]
    assert hashes == list(ngram_hashes(recent))


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 6))
def test_repetitions_are_penalised_as_in_the_package(text, allowed):
    wanted = -Repeats(1, text).penalised(np.zeros((1, settings.VOCAB_SIZE)), allowed)[0]
    np.testing.assert_array_equal(sampling.repeat_penalties(np.array(text, np.int64), allowed), wanted)


def test_repetitions_are_looked_for_as_far_back_as_in_the_package(monkeypatch):
    monkeypatch.setattr(sampling, "WINDOW", 50)
    monkeypatch.setattr("charlstm.sampling.repeats.WINDOW", 50)
    text = np.random.default_rng(0).integers(0, 3, 400)
    repeats = Repeats(1)
    for end, token in enumerate(text, 1):
        repeats.push(np.array([token]))
        wanted = -repeats.penalised(np.zeros((1, settings.VOCAB_SIZE)), 3)[0]
        np.testing.assert_array_equal(sampling.repeat_penalties(text[max(0, end - 100) : end], 3), wanted)


@given(logits, st.floats(0.01, 0.99))
def test_what_is_unlikely_is_left_out_as_in_the_package(logits, share):
    np.testing.assert_array_equal(sampling.keep_top_p(logits, share), filters.top_p(logits[None], share)[0])
    np.testing.assert_array_equal(sampling.keep_min_p(logits, share), filters.min_p(logits[None], share)[0])


@given(logits, st.integers(0, 99))
def test_a_draw_is_that_of_the_package(logits, seed):
    one, other = np.random.default_rng(seed), np.random.default_rng(seed)
    assert sampling.draw(logits, one) == filters.draw(logits[None], [other])[0]


def cuts(line):
    """Every way to cut a line."""
    if not line:
        yield []
    for end in range(1, len(line) + 1):
        yield from ([line[:end], *others] for others in cuts(line[end:]))


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(-64, -1), max_size=12),
    st.text("abc", max_size=7),
    st.integers(-64, -1),
)
def test_the_best_pieces_are_the_best_of_all_cuts(scores, line, unknown):
    def total(pieces):
        return sum(scores.get(piece, unknown if len(piece) == 1 else -1e9) for piece in pieces)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECES", {piece: (0, score) for piece, score in scores.items()})
        patch.setattr(pieces, "LONGEST_PIECE", 3)
        patch.setattr(pieces, "UNKNOWN_SCORE", unknown)
        found = pieces.best_pieces(line)
    assert "".join(found) == line
    assert total(found) == max(map(total, cuts(line)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_has_a_value_for_every_network(kind):
    names = {name for name in vars(settings) if name.isupper()}
    assert known(checkpoint(KINDS[kind])).keys() == names - {"INT8", "BESIDE", "WEIGHTS"}


def test_no_two_modules_define_one_name():
    defined = []
    for node in (node for source in SOURCES.values() for node in ast.parse(source).body):
        if isinstance(node, ast.FunctionDef):
            defined.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            defined.append(ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target))
    assert len(defined) == len(set(defined)) > 40


@pytest.mark.parametrize("name", MODULES)
def test_a_decided_branch_stands_alone(name):
    """`specialise` decides no ``elif``, which is part of another branch."""
    for node in ast.walk(ast.parse(SOURCES[name])):
        if isinstance(node, ast.If) and {each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)} <= set(
            vars(settings)
        ):
            assert not (len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If))
