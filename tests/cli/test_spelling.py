"""Settings become options where a person reads of them, and nothing else does."""

import pytest

from charlstm.cli.spelling import as_option, error_line, with_options
from charlstm.config import DataConfig, ModelConfig, TrainConfig
from charlstm.errors import StorageError
from tests.cli.test_help import COMMANDS

SETTINGS = [*ModelConfig.model_fields, *DataConfig.model_fields, *TrainConfig.model_fields]


@pytest.mark.parametrize(
    ("message", "spelled"),
    [
        ("Lower `batch_size` or `lr`.", "Lower --batch-size or --lr."),
        ("with `resume` auto", "with --resume auto"),
        ("`charlstm train` makes one", "`charlstm train` makes one"),
        ("no run `My Run`", "no run `My Run`"),
    ],
)
def test_only_settings_in_backticks_become_options(message, spelled):
    assert with_options(message) == spelled


def test_the_place_of_an_error_stays_as_it_is():
    fault = StorageError("cannot be `written`", where="texts/`lr`.txt", hint="See `out`.")
    assert error_line(fault) == "texts/`lr`.txt: cannot be --written. See --out."


def test_the_options_of_settings_exist():
    options = {option for parameter in COMMANDS["train"].params for option in parameter.opts}
    assert {as_option(name) for name in SETTINGS if name != "sources"} <= options  # the text is an argument
