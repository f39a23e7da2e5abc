"""Diagnoses of runs with known losses."""

import pytest

from charlstm.training.diagnosis import diagnose

CASES = {
    "Overfitting": [
        (0.9, (1.6, 1.4, 1.5), 20_000_000, 1_000_000),  # validation rose again
        (0.6, (1.6, 1.4, 1.4), 20_000_000, 1_000_000),  # training knows far more than validation
        (0.9, (1.6, 1.4, 1.5), 200_000, 10_000),  # on a short text too
    ],
    "Too early to tell: after 10% of the text": [(1.7, (1.3, 1.9), 5_000, 50_000)],  # read once, and not memorised
    "Too little text": [
        (1.9, (2.1, 2.0), 200_000, 10_000),
        (0.1, (3.1, 2.9, 4.4), 20_000, 54),  # so little can only be memorised
    ],
    "Only 30%": [(1.5, (1.6, 1.5), 300_000, 1_000_000)],
    "Underfitting": [(1.5, (1.9, 1.7, 1.5), 3_000_000, 1_000_000)],
    "": [
        (1.3, (1.6, 1.51, 1.5), 4_000_000, 1_000_000),  # all is well
        (1.3, (), 4_000_000, 1_000_000),  # nothing was measured
    ],
}


def test_a_network_that_was_trained_before_needs_little_text_and_has_its_shape():
    assert diagnose(1.1, (1.2, 1.15), 100_000, 10_000, fine_tuned=True) == ""
    text = diagnose(1.5, (1.6, 1.5), 300_000, 1_000_000, fine_tuned=True)
    assert text == "Only 30% of the text was used in this time. A longer `max_time` helps."


def test_a_network_that_was_better_before_is_said_to_be_kept():
    text = diagnose(1.5, (1.43, 1.73), 46_000, 240_000, fine_tuned=True, start_loss=1.43)
    assert text.startswith("Nothing was gained: the network that it began with has a loss of 1.43 nats per token")
    assert diagnose(1.5, (1.43,), 0, 240_000, fine_tuned=True, start_loss=1.43).startswith("Only 0%")
    later = diagnose(1.5, (1.43, 1.73), 46_000, 240_000, fine_tuned=True)  # nothing was measured before the first step
    assert later.startswith("Too early to tell")


@pytest.mark.parametrize(("diagnosis", "run"), [(name, run) for name, runs in CASES.items() for run in runs])
def test_each_run_gets_its_diagnosis(diagnosis, run):
    text = diagnose(*run)
    assert text.startswith(diagnosis)
    assert bool(text) == bool(diagnosis)
    assert "\n" not in text
