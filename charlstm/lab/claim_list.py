"""What tutorials say of recurrent networks, each sentence with what would be measured if it were true.

A claim is added here and nowhere else, as long as the quantities and the setups that there are can test it.
``docs/claims.md`` has the sources of each, and why it came out as it did.
"""

from __future__ import annotations

from dataclasses import dataclass

from charlstm.inspect.gradients import THRESHOLD
from charlstm.lab.gradient import FAR
from charlstm.lab.long_range import GAPS
from charlstm.lab.measures import (
    FAR_GRADIENT,
    HIGHEST_COUNT,
    LONGEST_GAP,
    LOSS,
    MASKED_LOSS,
    PARAMETERS,
    RECALLED,
    RECALLED_WITH_EVEN_FORGETTING,
    RECALLED_WITHOUT_FORGETTING,
    STEP_TIME,
    Quantity,
    zero_forget_bias,
)
from charlstm.lab.variants import (
    COUNT,
    COUNT_TASK,
    RECALL,
    RECALL_TASK,
    SMALL_TEXT,
    SPEED,
    SPEED_UNITS,
    TEXT,
    Variant,
)


@dataclass(frozen=True)
class Measured:
    """A quantity of each network of a variant."""

    variant: Variant
    quantity: Quantity
    label: str = ""
    """What it stands under in the table; by default the variant's name."""

    @property
    def name(self) -> str:
        """What it stands under in the table."""
        return self.label or self.variant.name


@dataclass(frozen=True)
class Threshold:
    """A number that a quantity is compared with."""

    name: str
    value: float


@dataclass(frozen=True)
class Comparison:
    """A statement that holds if the first of two numbers is greater than the second, in every seed."""

    statement: str
    """A clause; ``{small}`` and ``{large}`` are the characters of the two texts."""
    greater: Measured | Threshold
    smaller: Measured | Threshold

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Those of the two that are measured; at least one is."""
        return tuple(side for side in (self.greater, self.smaller) if isinstance(side, Measured))


@dataclass(frozen=True)
class Claim:
    """A sentence of tutorials, and the comparisons that test it."""

    sentence: str
    comparisons: tuple[Comparison, ...]


_RNN_RECALLS = Variant("RNN", RECALL, "rnn")
_LSTM_RECALLS = Variant("LSTM", RECALL)
_LSTM_COUNTS = Variant("LSTM", COUNT)
_GRU_COUNTS = Variant("GRU", COUNT, "gru")
_LSTM_STEPS = Variant("LSTM", SPEED)
_GRU_STEPS = Variant("GRU", SPEED, "gru")
_RNN_READS = Variant("RNN", TEXT, "rnn")
_LSTM_READS = Variant("LSTM", TEXT)
_WITH_ATTENTION = Variant("LSTM with attention", TEXT, settings=(("attention_window", 64),))
_TWO_LAYERS = Variant("two layers", TEXT, settings=(("num_layers", 2),))
_TWO_DIRECTIONS = Variant("two directions", TEXT, settings=(("bidirectional", True),))

CLAIMS = (
    Claim(
        "An RNN loses long gaps, and an LSTM does not",
        (
            Comparison(
                "the LSTM recalls a letter across longer gaps than the RNN",
                Measured(_LSTM_RECALLS, LONGEST_GAP),
                Measured(_RNN_RECALLS, LONGEST_GAP),
            ),
            Comparison(
                f"the LSTM recalls it across {RECALL_TASK.longest} characters, the longest gap in training",
                Measured(_LSTM_RECALLS, LONGEST_GAP),
                Threshold("next shorter gap", max(gap for gap in GAPS if gap < RECALL_TASK.longest)),
            ),
        ),
    ),
    Claim(
        "An LSTM trains more slowly than an RNN",
        (
            Comparison(
                f"with {SPEED_UNITS} units, a training step of the LSTM takes longer than one of the RNN",
                Measured(_LSTM_STEPS, STEP_TIME),
                Measured(Variant("RNN", SPEED, "rnn"), STEP_TIME),
            ),
        ),
    ),
    Claim(
        "A GRU is faster and simpler than an LSTM",
        (
            Comparison(
                f"with {SPEED_UNITS} units, a training step of the LSTM takes longer than one of the GRU",
                Measured(_LSTM_STEPS, STEP_TIME),
                Measured(_GRU_STEPS, STEP_TIME),
            ),
            Comparison(
                f"with {SPEED_UNITS} units, the LSTM has more parameters than the GRU",
                Measured(_LSTM_STEPS, PARAMETERS),
                Measured(_GRU_STEPS, PARAMETERS),
            ),
        ),
    ),
    Claim(
        "A GRU is better for small data, an LSTM for large",
        (
            Comparison(
                "having learned {small} characters, the GRU has a lower loss than the LSTM",
                Measured(Variant("LSTM", SMALL_TEXT), LOSS),
                Measured(Variant("GRU", SMALL_TEXT, "gru"), LOSS),
            ),
            Comparison(
                "having learned {large} characters, the LSTM has a lower loss than the GRU",
                Measured(Variant("GRU", TEXT, "gru"), LOSS),
                Measured(_LSTM_READS, LOSS),
            ),
        ),
    ),
    Claim(
        "Peepholes help to count",
        (
            Comparison(
                "the LSTM with peepholes counts further than the LSTM",
                Measured(Variant("with peepholes", COUNT, "peephole"), HIGHEST_COUNT),
                Measured(_LSTM_COUNTS, HIGHEST_COUNT),
            ),
        ),
    ),
    Claim(
        "A GRU cannot count",
        (
            Comparison(
                f"the GRU does not count beyond {COUNT_TASK.longest}, the greatest n in training",
                Threshold("beyond training", COUNT_TASK.longest + 1),
                Measured(_GRU_COUNTS, HIGHEST_COUNT),
            ),
            Comparison(
                "the LSTM counts further than the GRU",
                Measured(_LSTM_COUNTS, HIGHEST_COUNT),
                Measured(_GRU_COUNTS, HIGHEST_COUNT),
            ),
        ),
    ),
    Claim(
        "Attention helps",
        (
            Comparison(
                "after equal time, the LSTM with attention to its last 64 states has a lower loss than the LSTM",
                Measured(_LSTM_READS, LOSS),
                Measured(_WITH_ATTENTION, LOSS),
            ),
            Comparison(
                "after equally many steps, the LSTM with attention has a lower loss than the LSTM",
                Measured(Variant("LSTM", TEXT, steps_of=_WITH_ATTENTION), LOSS),
                Measured(_WITH_ATTENTION, LOSS),
            ),
        ),
    ),
    Claim(
        "Two directions predict better than one",
        (
            Comparison(
                "an LSTM of two directions predicts a masked character better than an LSTM of one predicts the next: "
                "this is the easier task",
                Measured(_LSTM_READS, LOSS),
                Measured(_TWO_DIRECTIONS, LOSS),
            ),
            Comparison(
                "it also predicts it better than the LSTM of one direction that tries every character in the gap and "
                "reads on: this is the same task",
                Measured(_LSTM_READS, MASKED_LOSS),
                Measured(_TWO_DIRECTIONS, MASKED_LOSS),
            ),
        ),
    ),
    Claim(
        "Stacking layers helps",
        (
            Comparison(
                "after equal time, the LSTM of two layers has a lower loss than that of one",
                Measured(_LSTM_READS, LOSS, "one layer"),
                Measured(_TWO_LAYERS, LOSS),
            ),
            Comparison(
                "after equally many steps, the LSTM of two layers has a lower loss than that of one",
                Measured(Variant("one layer", TEXT, steps_of=_TWO_LAYERS), LOSS),
                Measured(_TWO_LAYERS, LOSS),
            ),
        ),
    ),
    Claim(
        "Gradients vanish in an RNN, and not in an LSTM",
        (
            Comparison(
                f"in the RNN less than {THRESHOLD:.0%} of the gradient is left across {FAR} characters of text",
                Threshold("threshold", THRESHOLD),
                Measured(_RNN_READS, FAR_GRADIENT),
            ),
            Comparison(
                f"in the LSTM more than {THRESHOLD:.0%} of it is left",
                Measured(_LSTM_READS, FAR_GRADIENT),
                Threshold("threshold", THRESHOLD),
            ),
            Comparison(
                "in the LSTM more of it is left than in the RNN",
                Measured(_LSTM_READS, FAR_GRADIENT),
                Measured(_RNN_READS, FAR_GRADIENT),
            ),
        ),
    ),
    Claim(
        "A forget-gate bias of 1 helps across long gaps",
        (
            Comparison(
                "with a bias that begins at 1, the LSTM recalls across longer gaps than with one that begins at 0",
                Measured(_LSTM_RECALLS, LONGEST_GAP, "bias 1"),
                Measured(Variant("bias 0", RECALL, change=zero_forget_bias), LONGEST_GAP),
            ),
        ),
    ),
    Claim(
        "The forget gate really forgets",
        (
            Comparison(
                "the trained LSTM recalls more than the same network with its forget gate held at 1, so that it never "
                "forgets",
                Measured(_LSTM_RECALLS, RECALLED, "as trained"),
                Measured(_LSTM_RECALLS, RECALLED_WITHOUT_FORGETTING, "held at 1"),
            ),
            Comparison(
                "it recalls more than with each unit's forget gate held at its mean, so that it forgets as much, but "
                "whatever it reads",
                Measured(_LSTM_RECALLS, RECALLED, "as trained"),
                Measured(_LSTM_RECALLS, RECALLED_WITH_EVEN_FORGETTING, "held at its mean"),
            ),
        ),
    ),
)
