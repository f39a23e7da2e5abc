"""How a budget is divided."""

from __future__ import annotations

import pytest

from charlstm.errors import UsageError
from charlstm.tuning import budget


@pytest.mark.parametrize(
    ("seconds", "trial_time", "expected"), [(3600, None, 120), (60, None, 20), (60, 30, 30), (2, 1, 1)]
)
def test_a_trial_has_a_thirtieth_of_the_budget_but_at_least_20_seconds(seconds, trial_time, expected):
    assert budget.trial_seconds(seconds, trial_time) == expected


@pytest.mark.parametrize(
    ("seconds", "trial_time", "shortest"), [(59, 30, "60 s, two trials of 30 s"), (39, None, "40 s, two trials of 20")]
)
def test_a_budget_too_short_for_two_trials_is_refused_with_the_shortest(seconds, trial_time, shortest):
    with pytest.raises(UsageError, match=f"the shortest is {shortest}") as error:
        budget.trial_seconds(seconds, trial_time)
    assert "--" not in str(error.value)


@pytest.mark.parametrize(("jobs", "expected"), [(1, None), (2, 3), (4, 1), (99, 1)])
def test_parallel_trials_share_the_cores_that_the_process_may_use(monkeypatch, jobs, expected):
    monkeypatch.setattr(budget, "cores", lambda: 7)
    assert budget.trial_threads(jobs) == expected
