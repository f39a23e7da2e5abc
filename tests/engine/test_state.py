"""States expanded, selected and joined in any order continue as each text alone does, in either backend."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.nn.model import CharLM
from tests.networks import architecture, engine_for, torch_backend_for

SHAPES = {
    "plain": {},
    "one layer": {"num_layers": 1, "cell": "gru"},
    "attention": {"attention_window": 3},
    "ensemble": {"ensemble": 2, "skip_connections": True},
    "side inputs": {"ngram_order": 3, "ngram_buckets": 40, "match_orders": (2, 3), "match_slots": 20},
}

moves = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.randoms(use_true_random=False)),
        st.tuples(st.just("select"), st.lists(st.integers(0, 9), min_size=1, max_size=4)),
        st.tuples(st.just("join"), st.lists(st.integers(0, 9), min_size=1, max_size=2)),
        st.tuples(st.just("expand"), st.integers(1, 3)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=25, deadline=None)
@given(moves)
def test_rows_moved_about_continue_as_each_text_alone_does(shape, steps):
    torch.manual_seed(0)
    size = {"vocab_size": 4, "embedding_size": 3, "hidden_size": 5, "num_layers": 2}
    model = CharLM(architecture(**size | SHAPES[shape])).eval()
    for stepper in (engine_for(model), torch_backend_for(model)):
        texts = [[1]]
        logits, state = stepper.step(np.array([1]), None)
        for move, value in steps:
            if move == "step":
                tokens = [value.randrange(4) for _ in texts]
                logits, state = stepper.step(np.array(tokens), state)
                texts = [[*text, token] for text, token in zip(texts, tokens, strict=True)]
            elif move == "expand" and len(texts) == 1:
                state, texts = stepper.expand(state, value), texts * value
            elif move == "select":
                rows = [row % len(texts) for row in value]
                state, texts = stepper.select(state, rows), [texts[row] for row in rows]
            elif move == "join":
                rows = [row % len(texts) for row in value]
                parts = [state, *(stepper.select(state, [row]) for row in rows)]
                state, texts = stepper.join(parts), [*texts, *(texts[row] for row in rows)]
        logits, _ = stepper.step(np.full(len(texts), 2), state)
        for row, text in zip(logits, texts, strict=True):
            want = model(torch.tensor([[*text, 2]]))[0][0, -1].detach().numpy()
            np.testing.assert_allclose(row, want, atol=1e-5)
