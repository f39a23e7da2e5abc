"""Amounts as a person reads them."""

import math

import pytest

from charlstm.report.amounts import measured


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.38724, 4, "1.3872"), (-0.5, 2, "-0.50"), (9999.0, 3, "9999.000"), (3.4028e29, 4, "3.4e+29"),
        (12345.6, 2, "1.23e+04"), (math.inf, 3, "inf"), (math.nan, 3, "nan"),
    ],
)  # fmt: skip
def test_a_loss_is_short_also_where_a_network_diverged(value, digits, text):
    assert measured(value, digits) == text
