"""How settings in messages become what a person types."""

import pytest

from charlstm.cli.spelling import error_line, respell, with_options
from charlstm.errors import UnknownCharacter, UsageError
from charlstm.sampling.config import SampleConfig


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("Lower `batch_size` or `seq_len`.", "Lower --batch-size or --seq-len."),
        ("`top_p=1.1` must be above 0", "--top-p 1.1 must be above 0"),
        ("`stop=''` must be a text", "--stop '' must be a text"),
        ('`unknown="map"` reads that instead', "--unknown map reads that instead"),
        ("`name='my run'` is taken", "--name 'my run' is taken"),
        ("`count=0` must be 1 or more", "-n 0 must be 1 or more"),
        ("the character '`' is one `, and `` are two", "the character '`' is one `, and `` are two"),
        ("nothing to spell", "nothing to spell"),
        ("leave it out: `match_orders=()`", "leave it out: --match-orders 0"),
        ("`match_orders=(3, 99)` is too long", "--match-orders 3,99 is too long"),
        ("`match_orders=[3]` is too short", "--match-orders 3 is too short"),
        ("`lr=0.0` and `lr=0.5`", "--lr 0 and --lr 0.5"),
        ("needs `bidirectional=True`", "needs --bidirectional"),
        ("needs `skip_connections=False`", "needs --no-skip-connections"),
    ],
)
def test_a_setting_in_backticks_becomes_an_option(message, typed):
    assert with_options(message) == typed


def test_a_place_stays_as_it_is():
    fault = UsageError("is taken", where="runs/`seed`", hint="Choose another `name`.")
    assert error_line(fault) == "runs/`seed`: is taken. Choose another --name."


def test_a_session_spells_settings_in_its_own_way():
    fault = UnknownCharacter("é", 3, hint='`unknown="skip"` leaves it out.')
    respell(fault, lambda setting: f"/set {setting}")
    assert str(fault).endswith("/set unknown skip leaves it out.")


def test_every_setting_of_a_draw_is_spelt_as_sample_takes_it():
    from typer.main import get_command

    from charlstm.cli.commands.sample import app

    options = {option for parameter in get_command(app).params for option in parameter.opts}
    for setting in SampleConfig.__dataclass_fields__:
        assert with_options(f"`{setting}`") in options
