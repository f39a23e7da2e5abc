"""While a network writes, its match memory holds what a person wrote, and nothing of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from charlstm.nn.model import CharLM
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.cowriter import CoWriter
from charlstm.sampling.generate import generate, row_generators
from charlstm.sampling.position import Position, advance, prefill
from tests.networks import architecture, engine_for, torch_backend_for

PROMPT = [0, 1, 2, 0, 1, 3, 0, 1]


def network() -> CharLM:
    """A small network that heeds its match memory."""
    torch.manual_seed(0)
    shape = {"vocab_size": 4, "embedding_size": 6, "hidden_size": 8, "num_layers": 1}
    model = CharLM(architecture(**shape, match_orders=(2, 3), match_slots=50))
    torch.nn.init.normal_(model.side_inputs["match"].weight, std=2.0)
    return model


def drawn(stepper: Any, rows: int) -> tuple[list[list[int]], Position]:
    """What is drawn after the prompt, and the position at the last draw."""
    draws = generate(stepper, prefill(stepper, PROMPT), SampleConfig(length=60), row_generators(1, rows))
    ids = []
    for draw in draws:
        ids.append(draw.ids.tolist())
    return ids, draw.position


def slots(position: Position) -> Any:
    """The slots of the match memory of every row."""
    return [memories["match"] for memories in position.state.side]


@pytest.mark.parametrize("rows", [1, 3])
def test_what_is_drawn_does_not_enter_the_memory(rows: int) -> None:
    model = network()
    engine = engine_for(model)
    ids, position = drawn(engine, rows)
    assert slots(position) == slots(prefill(engine, PROMPT)) * rows
    in_torch, last = drawn(torch_backend_for(model), rows)
    assert in_torch == ids
    backend = torch_backend_for(model)
    (after_prompt,) = prefill(backend, PROMPT).state.side["match"]
    assert torch.equal(last.state.side["match"][0], after_prompt.repeat(rows, 1, 1))


def test_the_memory_matters_to_this_network() -> None:
    # Otherwise the tests above and below would hold for any network.
    engine = engine_for(network())
    position = prefill(engine, PROMPT)
    storing, frozen = position, position._replace(state=engine.freeze(position.state))
    differences = []
    for token in [0, 1, 2, 2, 1, 0, 2, 2, 1]:
        storing, frozen = (advance(engine, each, np.array([token])) for each in (storing, frozen))
        differences.append(np.abs(storing.logits - frozen.logits).max())
    assert max(differences) > 0.2


def test_what_a_person_types_after_a_draw_enters_it_again() -> None:
    engine = engine_for(network())
    letters = engine.tokenizer.decode
    co = CoWriter(engine, SampleConfig(length=10, seed=1))
    co.add(letters(PROMPT))
    before = slots(co.pieces[-1].position)
    list(co.extend())
    assert slots(co.pieces[-1].position) == before
    co.propose(2)
    assert slots(co.choose(1).position) == before
    co.add(letters([3, 3, 2]))
    (after,) = slots(co.pieces[-1].position)
    changed = sum(old != new for old, new in zip(before[0], after, strict=True))
    assert changed > 0
