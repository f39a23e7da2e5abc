"""A bake-off that is stopped at any turn reports the networks that have trained."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.lab import bakeoff
from charlstm.lab.side_by_side import CellComparison
from charlstm.lab.texts import Text
from charlstm.report.experiment import experiment_page
from charlstm.report.picture import png


def abc_text():
    ids = np.arange(4000) % 3
    return Text("abc", 3, ids[:3000].astype(np.uint8), ids[3000:].astype(np.uint8))


@pytest.mark.parametrize("turns", [1, 3, 5])
def test_a_bake_off_stopped_in_its_first_turns_reports_those_that_had_one(turns):
    calls = iter(range(100))
    comparison = CellComparison(("rnn", "gru"), seeds=1, seconds=60.0)
    *_, report = bakeoff.run(abc_text(), comparison, [100, 200, 300], lambda: next(calls) >= turns - 1)
    assert report.partial
    assert [row[0] for row in report.rows] == ["rnn", "gru", "rnn", "gru", "rnn"][:turns]
    verdicts = [finding for finding in report.findings if "gru reaches a lower loss" in finding]
    assert ["too short to tell" in verdict for verdict in verdicts] == [True] * (turns >= 4)
    assert png(experiment_page(report)).startswith(b"\x89PNG")
