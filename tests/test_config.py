"""Settings, events and errors: checked, told in one line, and the same after a round trip."""

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm import errors
from charlstm.config import SECTIONS, DataConfig, RunConfig, TrainConfig, check_partial, section_of
from charlstm.errors import ConfigError, NotFoundError, UnknownCharacter
from charlstm.events import CheckpointSaved, EvalDone, Notice, Preview, Started, StepDone, Stopped, from_json, to_json
from charlstm.nn.shapes import CELLS
from charlstm.schemas import Schema, parse
from charlstm.settings_file import read_settings, to_toml
from tests.networks import architecture

runs = st.builds(
    RunConfig,
    name=st.text(min_size=1),
    model=st.builds(
        architecture, vocab_size=st.integers(1, 999), dropout=st.floats(0, 0.99), skip_connections=st.booleans()
    ),
    data=st.builds(DataConfig, sources=st.lists(st.text(), min_size=1).map(tuple), min_count=st.integers(1, 9)),
    train=st.builds(TrainConfig, lr=st.floats(1e-9, 10), max_steps=st.none() | st.integers(1, 10**9)),
)


@given(runs)
def test_toml_round_trip(run):
    import tomllib

    sections = {section: run.to_plain()[section] for section in SECTIONS}
    assert RunConfig.from_plain({"name": run.name, **tomllib.loads(to_toml(sections))}) == run


@given(runs)
def test_json_round_trip(run):
    assert RunConfig.from_plain(json.loads(json.dumps(run.to_plain()))) == run


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[model]\nhiden_size = 3", "hiden_size"),
        ("[model]\nhidden_size = -3", ": hidden_size=-3 must be a whole number of at least 1"),
        ("[modell]\nhidden_size = 3", "modell"),
        ("[train]\nlr = 'fast'", ": lr='fast' must be a number"),
        ("[train", "cannot be read as TOML"),
        ("hidden_size = 3", "hidden_size stands in no section"),
    ],
)
def test_an_invalid_settings_file_is_one_line(tmp_path, text, told):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_name_with_many_dots_is_no_deep_key(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[data]\nsources = ["a.b.c.d.e.f.g.h.i.j.k.l.txt"]')
    assert read_settings(path) == {"data": {"sources": ["a.b.c.d.e.f.g.h.i.j.k.l.txt"]}}


def test_a_window_of_attention_that_would_take_gigabytes_is_refused():
    with pytest.raises(ConfigError, match="attention_window=65536"):
        check_partial("model", {"attention_window": 65_536})


def test_a_missing_settings_file(tmp_path):
    with pytest.raises(NotFoundError, match="no such settings file"):
        read_settings(tmp_path / "none.toml")


def test_partial_settings_need_not_be_complete():
    check_partial("model", {"hidden_size": 3})
    with pytest.raises(ConfigError, match=r"--x: `dropout=1\.0` must be a number below 1$"):
        check_partial("model", {"dropout": 1.0}, where="--x")


class Inner(Schema, frozen=True, kw_only=True):
    size: int


class Outer(Schema, frozen=True, kw_only=True):
    begin: int = msgspec.field(default=0, name="from")
    text: str | None = None
    stop: str | tuple[str, ...] | None = None
    inner: tuple[Inner, ...] = ()


def test_a_field_may_have_another_name_in_a_file_and_several_types():
    found = parse(Outer, {"from": 3, "stop": ["a"], "inner": [{"size": 2}]})
    assert (found.begin, found.stop, found.inner[0].size) == (3, ("a",), 2)
    for values, told in (
        ({"begin": 3}, "there is no setting 'begin'"),
        ({"from": "a"}, "`from='a'` must be a whole number"),
        ({"text": 3}, "`text=3` must be a text or nothing"),
        ({"stop": 3}, "`stop=3` must be a text or a list or nothing"),
        ({"inner": [{"size": 1, "weight": 2}]}, "there is no setting 'weight' in `inner`"),
        ({"inner": [{}]}, "`size` is missing"),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)):
            parse(Outer, values)


def test_settings_know_their_section():
    assert (section_of("hidden_size"), section_of("seq_len"), section_of("lr")) == ("model", "data", "train")


EVENTS = [
    Started("a", 0, 10, 100, 10),
    StepDone(1, 0.5, 2.0, 0.1, 0.9, 100, 1.5),
    EvalDone(2, 1.0, 1.25, 1.8, "ema", True, 3.0),
    Preview(2, "ROMEO:\n\u2028\x1b[31m"),
    CheckpointSaved(2, "a/model.safetensors", "model"),
    Notice(3, "overfitting"),
    Stopped(3, "finished", None, 4.0),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_are_one_line_of_json_each(event):
    line = to_json(event)
    assert "\n" not in line
    assert from_json(line) == event


def test_every_error_has_its_exit_code_and_stands_in_the_tree():
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CharlstmError)
    ]
    assert {kind.exit_code for kind in kinds} == {1, 2, 3, 4, 5, 6, 7}
    for kind in kinds:
        assert re.search(rf"\b{kind.__name__} +{kind.exit_code}\b", errors.__doc__)


def test_an_error_says_where_what_and_what_to_do():
    fault = errors.TextError("bad byte", where="my.txt", hint="Try --encoding cp1252.")
    assert str(fault) == "my.txt: bad byte. Try --encoding cp1252."
    assert "U+1F600" in str(UnknownCharacter("😀", 3))
    assert "\x1b" not in str(UnknownCharacter("\x1b", 0))


def test_every_choice_is_named_when_none_of_them_was_taken():
    with pytest.raises(ConfigError) as fault:
        check_partial("model", {"cell": "mogrifier"})
    assert all(cell in str(fault.value) for cell in CELLS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[model]\n" + ".".join("a" * 50_000) + " = 1", "more than two parts"),
        ("[model]\n" + " . ".join(['"a"', "'b'"] * 60) + " = 1", "more than two parts"),
        ("[" + ".".join("a" * 50_000) + "]", "more than two parts"),
        ("[model]\nhidden_size = " + "9" * 5000, "cannot be read as TOML"),
        ("[" * 5000, "cannot be read as TOML"),
        ("[model]\nhidden_size = " + "[" * 5000, "cannot be read as TOML"),
        ("#" * 1_000_001, "more than 1,000,000 bytes"),
        ("#" + "é" * 600_000, "more than 1,000,000 bytes"),
    ],
    ids=range(8),
)
def test_a_settings_file_made_to_break_the_parser_is_one_line(tmp_path, text, words):
    path = tmp_path / "bomb.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_settings(path)
