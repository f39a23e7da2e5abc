"""The microscope's numbers are those of the cell, and its sentences say what the numbers say."""

from __future__ import annotations

import re

import numpy as np
import pytest

from charlstm.errors import UsageError
from charlstm.inspect.step import busiest_units, equations
from charlstm.inspect.trace import trace
from tests.inspect.test_trace import SHAPES, network

NUMBER = re.compile(r"-?\d+\.\d\d")


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "peephole"])
def test_each_equation_comes_to_its_value(cell):
    model = network(**SHAPES[cell])
    ids = np.random.default_rng(3).integers(0, 9, 12)
    layer, traced = model.layers[0], trace(model, ids).layers["layers"][0]
    sigmoid = {"σ": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}
    for unit in range(8):
        lines = {line.letter: line for line in equations(layer, traced, 5, unit)}
        assert set(lines) == {letter for letter in traced.parts if not letter.startswith("sum_")}
        for letter, line in lines.items():
            assert line.value == pytest.approx(float(traced.parts[letter][5, unit]))
            assert line.formula.startswith(f"{letter} = ")
            assert line.numbers.endswith(f" = {round(line.value, 2) + 0.0:.2f}")
            assert line.meaning.endswith(".")
            terms = re.match(r"(σ|tanh)\((.*?)\) = \1\((-?[\d.]+)\)", line.numbers)
            if terms:
                squash, total = sigmoid[terms[1]], float(terms[3])
                assert squash(total) == pytest.approx(line.value, abs=0.006)
                if "·" not in terms[2]:  # what is added up, each rounded to a hundredth
                    added = eval(terms[2])
                    assert added == pytest.approx(total, abs=0.025)


def test_the_terms_of_a_sum_are_what_the_weights_give():
    model = network(**SHAPES["peephole"])
    ids = np.random.default_rng(3).integers(0, 9, 12)
    layer, traced = model.layers[0], trace(model, ids).layers["layers"][0]
    (line,) = [line for line in equations(layer, traced, 7, 2) if line.letter == "f"]
    weight_ih, weight_hh, bias, peephole = (weight.detach().numpy() for weight in layer.weights)
    row = 8 + 2  # gates are stacked i f g o, 8 units each
    terms = (
        weight_ih[row] @ traced.inputs[7],
        weight_hh[row] @ traced.before[0][7],
        peephole[8 + 2] * traced.before[1][7, 2],
        bias[row],
    )
    numbers = [float(number) for number in NUMBER.findall(line.numbers.replace("- ", "-"))]
    np.testing.assert_allclose(numbers[:4], terms, atol=0.0051)


def test_the_busiest_units_are_those_whose_memory_changes_most():
    traced = trace(network(**SHAPES["lstm"]), np.arange(9)).layers["layers"][0]
    change = [abs(traced.parts["c"][4, unit] - traced.parts["c"][3, unit]) for unit in range(8)]
    assert busiest_units(traced, 4, 3) == sorted(range(8), key=lambda unit: -change[unit])[:3]


def test_a_unit_that_does_not_exist_is_named():
    model = network(**SHAPES["lstm"])
    traced = trace(model, np.arange(5)).layers["layers"][0]
    with pytest.raises(UsageError, match="no unit 8"):
        equations(model.layers[0], traced, 0, 8)
