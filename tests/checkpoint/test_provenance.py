"""The provenance of a checkpoint is checked like its settings."""

from __future__ import annotations

import math
from typing import Any

import pytest

from charlstm.checkpoint.provenance import Provenance
from charlstm.errors import ConfigError


@pytest.mark.parametrize("name", ["val_loss", "bits_per_char", "seconds", "temperature", "step", "tokens", "trial"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 10**400, "1", True, [], {}])
def test_a_number_that_cannot_be_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"`{name}="):
        Provenance.from_plain({name: value})


def test_bits_per_byte_are_of_models_of_bytes_only() -> None:
    scored = Provenance(val_loss=3 * math.log(2))
    assert scored.bits_per_byte("byte") == pytest.approx(3.0)
    assert scored.bits_per_byte("char") is None
    assert Provenance().bits_per_byte("byte") is None
