"""Claims: every one can be tested, a verdict rests on all pairs of seeds, and a stop leaves what has been measured."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import CharlstmError
from charlstm.lab import claims
from charlstm.lab.claim_list import CLAIMS, Claim, Comparison, Measured, Threshold
from charlstm.lab.measures import Quantity
from charlstm.lab.texts import Text
from charlstm.lab.variants import COUNT, Variant, setups
from charlstm.report.findings import verdict


@pytest.fixture(autouse=True)
def _short_tests(monkeypatch):
    monkeypatch.setattr("charlstm.lab.long_range._PREFIXES", 1)
    monkeypatch.setattr("charlstm.lab.measures._MOST_EXCERPTS", 10)


def some_text():
    ids = np.random.default_rng(0).integers(3, size=4000).astype(np.uint8)
    return Text("abc", 3, ids[:3000], ids[3000:])


def report_of(*arguments, **options):
    *_, report = claims.run(some_text(), *arguments, **options)
    return report


# ---- the list -----------------------------------------------------------------------------------------------------


def test_every_statement_is_about_networks_of_one_setup_and_no_two_rows_are_the_same():
    names = set(setups(some_text()))
    rows = claims.numbered()
    assert len({str(row) for row in rows}) == len({row.comparison.statement for row in rows}) == len(rows)
    for row in rows:
        used = {side.variant.setup for side in row.comparison.measured}
        assert len(used) == 1, row
        assert used <= names
        twins = [side.variant.steps_of for side in row.comparison.measured if side.variant.steps_of]
        assert all(twin.setup in used and twin.steps_of is None for twin in twins)


def test_a_claim_of_one_comparison_has_no_letter():
    for number, claim in enumerate(CLAIMS, 1):
        expected = [str(number)] if len(claim.comparisons) == 1 else [f"{number}{c}" for c in "abcdefgh"]
        assert [str(row) for row in claims.numbered([number])] == expected[: len(claim.comparisons)]


def test_the_numbers_choose_the_claims():
    assert [row.claim for row in claims.numbered([5, 2])] == [2, 5]


@pytest.mark.parametrize("arguments", [(1, 1.0, [len(CLAIMS) + 1]), (1, 1.0, [0]), (0, 1.0)])
def test_an_impossible_choice_is_an_error_of_one_line_at_the_call(arguments):
    with pytest.raises(CharlstmError) as error:
        claims.run(some_text(), *arguments)
    assert error.value.what.startswith(("`only=", "`seeds="))
    assert "\n" not in str(error.value)


# ---- a claim is one entry -----------------------------------------------------------------------------------------


def always(number):
    """A quantity that is a number whatever the network."""
    return Quantity(lambda trained: number, "marks")


@pytest.fixture
def new_claim(monkeypatch):
    small, large = Variant("small", COUNT, "rnn"), Variant("large", COUNT, "gru")
    entry = Claim(
        "Five is more than three",
        (
            Comparison("five is more", Measured(large, always(5)), Measured(small, always(3))),
            Comparison("three is more", Measured(small, always(3)), Measured(large, always(5))),
            Comparison("five is more than five", Measured(large, always(5)), Threshold("five", 5)),
        ),
    )
    monkeypatch.setattr(claims, "CLAIMS", (*CLAIMS, entry))
    return len(CLAIMS) + 1


@pytest.fixture
def steps_take(monkeypatch):
    """Sets a clock on which every step takes the same time, however busy this machine is."""

    def set_clock(seconds):
        ticks = itertools.count()
        monkeypatch.setattr("charlstm.lab.trainee.time.perf_counter", lambda: seconds * next(ticks))

    return set_clock


def test_a_new_claim_is_a_row_with_its_verdict(new_claim, steps_take):
    steps_take(0.5)
    report = report_of(2, 4 * 8.5, [new_claim])
    assert not report.partial
    assert [row[0] for row in report.rows] == [f"{new_claim}{c} Five is more than three" for c in "abc"]
    assert [row[2] for row in report.rows] == [
        "large 5, small 3 marks",
        "small 3, large 5 marks",
        "large 5, five 5 marks",
    ]
    assert [row[3] for row in report.rows] == [
        "Supported: in all 2 seeds", "Refuted: in all 2 seeds", "Inconclusive: no difference",
    ]  # fmt: skip
    assert report.findings[:3] == (
        f"Supported: {new_claim}a.", f"Refuted: {new_claim}b.", f"Inconclusive: {new_claim}c.",
    )  # fmt: skip
    assert report.data[f"{new_claim}b"] == {"small": [3, 3], "large": [5, 5]}, "every seed's"
    (chart,) = report.charts
    assert chart.values == (1.0, 0.0, 0.5)


@pytest.mark.parametrize(("seconds", "enough"), [(7.0, False), (8.1, True)])
def test_a_verdict_needs_8_s_for_each_network(new_claim, steps_take, seconds, enough):
    steps_take(0.3)
    report = report_of(1, 2 * seconds, [new_claim])
    assert ("too short to tell" in report.rows[0][3]) is not enough
    assert any("as little as 7." in finding for finding in report.findings) is not enough


# ---- the verdict --------------------------------------------------------------------------------------------------

SEEDS = st.lists(st.integers(0, 6), min_size=1, max_size=4)


@given(SEEDS, SEEDS)
def test_the_share_of_pairs_is_1_if_supported_and_0_if_refuted_and_only_then(greater, smaller):
    found, reason = verdict(greater, smaller)
    outcome = claims.Outcome(claims.numbered([2])[0], ("a", greater), ("b", smaller), found, reason, 9.0)
    assert (outcome.share == 1.0) is (found == "Supported")
    assert (outcome.share == 0.0) is (found == "Refuted")
    turned = claims.Outcome(outcome.tested, ("b", smaller), ("a", greater), found, reason, 9.0)
    assert turned.share == pytest.approx(1 - outcome.share)


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_the_chance_of_a_verdict_is_that_of_an_enumeration(new_claim, steps_take, seeds):
    steps_take(1.0)
    ranks = range(2 * seeds)
    draws = [
        verdict(chosen, [r for r in ranks if r not in chosen])[0] for chosen in itertools.combinations(ranks, seeds)
    ]
    chance = sum(draw != "Inconclusive" for draw in draws) / len(draws)
    report = report_of(seeds, seeds * 2.0, [new_claim])
    (sentence,) = [finding for finding in report.findings if "by chance" in finding]
    assert 1 / int(re.search(r"in 1 of (\d+)", sentence)[1]) == pytest.approx(chance)


# ---- stopping -----------------------------------------------------------------------------------------------------


def report_stopped_after(turns, numbers, seeds=1):
    """The report of an experiment that is stopped after some networks have had their turn."""
    seen = []
    for event in claims.run(some_text(), seeds, 400.0, numbers, lambda: len(seen) >= turns):
        seen.append(event)
    return seen[-1]


def test_a_stop_leaves_the_claims_that_have_been_measured_and_names_the_others():
    report = report_stopped_after(2, [1, 5])
    assert report.partial
    assert [row[0].split()[0] for row in report.rows] == ["1a", "1b"]
    assert "Not measured, as it was stopped before: 5." in report.findings
    assert all("too short" in row[3] for row in report.rows)


def test_a_stop_in_the_first_turn_leaves_what_one_network_can_tell():
    report = report_stopped_after(1, [1, 2], seeds=2)
    assert [row[0].split()[0] for row in report.rows] == ["1b"], "only one LSTM has had a turn"
    assert "Not measured, as it was stopped before: 1a, 2." in report.findings


def test_networks_of_a_text_are_stopped_and_measured_too():
    report = report_stopped_after(2, [7])
    assert [row[0].split()[0] for row in report.rows] == ["7a"], "that of 7b begins after the others"
    assert report.partial


# ---- fairness -----------------------------------------------------------------------------------------------------


def test_it_changes_neither_the_callers_threads_nor_its_generator(steps_take):
    steps_take(0.1)
    threads, generator = torch.get_num_threads(), torch.random.get_rng_state()
    *events, report = claims.run(some_text(), 1, 2.0, [1, 3])
    shares = [event.share for event in events]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert not report.partial
    assert torch.get_num_threads() == threads
    assert torch.equal(generator, torch.random.get_rng_state())


def test_the_characters_of_both_texts_are_in_the_table(steps_take):
    steps_take(1.0)
    report = report_of(1, 1.0, [4])
    assert "375 characters" in report.rows[0][1]
    assert "3,000 characters" in report.rows[1][1]
    assert not any("{" in value for row in report.rows for value in row)


@pytest.mark.slow
def test_the_whole_table_is_measured(steps_take):
    steps_take(2.0)  # a training of few steps
    report = report_of(2, 2 * 16.6 * 8.5)
    assert [row[0].split()[0] for row in report.rows] == [str(row) for row in claims.numbered()]
    assert not report.partial
    assert not any("too short" in value for row in report.rows for value in row)


def test_some_claims_have_their_share_of_the_time():
    text = some_text()
    shares = [claims.share_of_all(text, [number]) for number in range(1, 13)]
    assert claims.share_of_all(text, []) == claims.share_of_all(text, range(1, 13)) == 1
    assert all(0 < share < 0.6 for share in shares)
    assert sum(shares) >= 1  # some need the same networks
