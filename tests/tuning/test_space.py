"""What a search varies, and how far."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import DataConfig, RunConfig, TrainConfig, section_of
from charlstm.settings_file import check_partial
from charlstm.tuning import space
from tests.networks import architecture


@st.composite
def runs(draw):
    """Settings as `choose` may choose them."""
    return RunConfig(
        name="x",
        model=architecture(
            vocab_size=50,
            hidden_size=draw(st.sampled_from([32, 48, 320, 2048])),
            num_layers=draw(st.integers(1, 5)),
            dropout=draw(st.integers(0, 90)) / 100,
            weight_drop=draw(st.integers(0, 90)) / 100,
            ngram_order=draw(st.sampled_from([0, 6])),
            ngram_dropout=draw(st.integers(0, 90)) / 100,
        ),
        data=DataConfig(batch_size=draw(st.integers(1, 200)), seq_len=draw(st.integers(1, 200))),
        train=TrainConfig(lr=draw(st.sampled_from([0.015, 0.0037, 0.026]))),
    )


@given(runs(), st.data())
@settings(max_examples=30)
def test_the_start_is_the_default_and_every_position_is_a_valid_setting(run, data):
    check_start_and_positions(run, data)


@pytest.mark.slow
@given(runs(), st.data())
@settings(max_examples=300)
def test_so_it_is_with_many_more_examples(run, data):
    check_start_and_positions(run, data)


def check_start_and_positions(run, data):
    axes = space.axes(run)
    default = space.values(axes, space.start(axes))
    assert default == {name: run.to_plain()[section_of(name)][name] for name in default}
    assert all(axis.low <= axis.start <= axis.high for axis in axes)
    positions = {axis.name: data.draw(st.floats(axis.low, axis.high)) for axis in axes}
    chosen = space.values(axes, positions)
    for section, table in space.by_section(chosen).items():
        check_partial(section, table)
    assert space.changed(axes, default) == {}
    assert chosen["hidden_size"] in (run.model.hidden_size, *range(16, 8192, 16))


def test_fixed_settings_are_not_varied():
    run = RunConfig(name="x", model=architecture(vocab_size=5))
    names = {axis.name for axis in space.axes(run)}
    assert names - {axis.name for axis in space.axes(run, ["lr", "hidden_size", "sources"])} == {"lr", "hidden_size"}


def test_a_network_with_n_grams_varies_their_dropout_in_place_of_weight_drop():
    for order, varied in ((0, "weight_drop"), (6, "ngram_dropout")):
        run = RunConfig(name="x", model=architecture(vocab_size=5, ngram_order=order))
        assert {axis.name for axis in space.axes(run)} & {"weight_drop", "ngram_dropout"} == {varied}
