"""The settings of a draw: every wrong value is one line that names the setting."""

import math

import numpy as np
import pytest

from charlstm.errors import UsageError
from charlstm.filling.config import FillConfig
from charlstm.sampling.config import MAX_SEED, SampleConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": -1},
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": math.inf},
        {"stop": ("end", "")},
        {"stop": (3,)},
        {"lines": -1},
        {"length": 2.5},
        {"lines": "2"},
        {"temperature": "warm"},
        {"seed": 0.5},
    ],
)
def test_a_wrong_value_is_named_with_its_setting(wrong):
    ((setting, value),) = wrong.items()
    with pytest.raises(UsageError) as caught:
        SampleConfig(**wrong)
    line = str(caught.value)
    shown = value[-1] if isinstance(value, tuple) else value
    assert line.startswith(f"`{setting}={shown!r}` must be ")
    assert "--" not in line


@pytest.mark.parametrize("config", [SampleConfig, FillConfig])
@pytest.mark.parametrize("seed", [-1, 2**64, pytest.param(10**5000, id="5001 digits")])
def test_a_seed_out_of_range_is_told_the_range(config, seed):
    with pytest.raises(UsageError, match=r"^`seed=.*` must be from 0 to 18446744073709551615") as caught:
        config(seed=seed)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("seed", [0, MAX_SEED, np.int64(7), None])
def test_every_other_seed_is_accepted(seed):
    assert SampleConfig(seed=seed).seed == FillConfig(seed=seed).seed == seed


def test_one_stop_text_need_not_be_in_a_tuple():
    assert SampleConfig(stop="end").stop == ("end",)


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"count": 1.5}, {"temperature": -1}, {"temperature": math.nan}, {"candidates": 0}]
)
def test_a_wrong_setting_of_filling_is_named(wrong):
    with pytest.raises(UsageError, match=f"^`{next(iter(wrong))}="):
        FillConfig(**wrong)
