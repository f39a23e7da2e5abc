"""The options that are made from the schemas of settings: what they accept, what they show, and what arrives."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import typer
from msgspec import Meta
from typer.testing import CliRunner

from charlstm.cli.app import app
from charlstm.cli.commands import train as train_module
from charlstm.cli.options import expanded, one_command
from charlstm.cli.setting_options import Settings, with_settings
from charlstm.cli.spelling import as_option
from charlstm.config import SECTIONS, all_settings, section_of, settings_in
from charlstm.nn.side_inputs import SIDE_INPUTS
from charlstm.nn.side_inputs.base import SideInput
from charlstm.training.plan.choose import choose
from charlstm.training.plan.probe import Machine
from tests.command_line import Cli


def given(*words: str) -> Settings:
    """The settings that arrive at a command for what is typed, without empty sections."""
    arrived: list[Settings] = []
    app = one_command()

    @app.command()
    @with_settings
    def command(settings: Settings) -> None:
        arrived.append(settings)

    app(list(words), standalone_mode=False)
    return {section: values for section, values in arrived[0].items() if values}


def help_page(columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    return CliRunner().invoke(train_module.app, ["--help"]).output


SETTINGS = [setting for section in SECTIONS for setting in settings_in(section)]
TYPED = {"match_orders": ("3,6", (3, 6)), "max_time": ("1h30m", 5400.0), "save_every": ("5s", 5.0)}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_what_is_typed_arrives_under_the_settings_name(setting: Any) -> None:
    if setting.name == "sources":
        assert given("a.txt", "b/") == {"data": {"sources": ("a.txt", "b/")}}
        return
    option, section = as_option(setting.name), section_of(setting.name)
    if setting.type is bool:
        assert given(option) == {section: {setting.name: True}}
        assert given(option.replace("--", "--no-")) == {section: {setting.name: False}}
        return
    examples = {int: ("7", 7), float: ("0.25", 0.25), str: ("word", "word")}
    typed, value = TYPED.get(setting.name) or examples.get(setting.type) or (setting.choices[-1],) * 2
    assert given(option, typed) == {section: {setting.name: value}}


def test_nothing_typed_is_nothing_given() -> None:
    assert given() == {}


@pytest.mark.parametrize(
    ("words", "setting", "value"),
    [
        ("--recall 3,6", "match_orders", (3, 6)),
        ("--recall 0", "match_orders", ()),
        ("--recall-rows 9", "match_slots", 9),
        ("--ngram-rows 9", "ngram_buckets", 9),
        ("--skip", "skip_connections", True),
        ("--no-skip", "skip_connections", False),
        ("--state-reset 0.5", "reset_prob", 0.5),
        ("--average 0", "ema_decay", 0.0),
        ("--rnn-size 9", "hidden_size", 9),
        ("--seq-length 9", "seq_len", 9),
        ("--bptt 9", "seq_len", 9),
        ("--learning-rate 0.5", "lr", 0.5),
        ("--attention", "attention_window", 256),
        ("--rnn-size 9 --hidden-size 8", "hidden_size", 8),
        ("--attention --attention-window 8", "attention_window", 8),
    ],
)
def test_earlier_spellings_are_accepted_and_not_shown(
    words: str, setting: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert given(*words.split()) == {section_of(setting): {setting: value}}
    assert not re.search(rf"{words.split()[0]}(?![\w-])", help_page(80, monkeypatch))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--cell mogrifier", "Invalid value for '--cell': 'mogrifier' is not one of 'rnn', 'lstm', 'gru', 'peephole'"),
        ("--optimizer sgd", "Invalid value for '--optimizer': 'sgd' is not one of 'soap', 'adamw'"),
        ("--hidden-size many", "--hidden-size"),
        ("--max-time soon", "--max-time: 'soon' is not a length of time"),
        ("--match-orders 3;6", "--match-orders: '3;6' is not a list of whole numbers"),
        ("--recall 3;6", "--recall: '3;6' is not a list of whole numbers"),
        ("--hidden-size 0", "--hidden-size 0 must be a whole number of at least 1"),
        ("--dropout 1", "--dropout 1 must be a number below 1"),
        ("--match-orders 3,99", "--match-orders 3,99 must be a whole number of at most 16"),
        ("--bidirectional --attention", "--bidirectional and --attention-window exclude each other"),
    ],
)
def test_a_wrong_value_is_one_line(
    words: str, message: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.txt").write_text("text " * 100)
    done = Cli(tmp_path, monkeypatch, capsys)("train", "my.txt", *words.split())
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_the_shell_completes_the_choices_of_a_setting() -> None:
    command = typer.main.get_command(train_module.app)
    (cell,) = (parameter for parameter in command.params if parameter.name == "cell")
    with command.make_context("train", []) as context:
        assert {item.value for item in cell.shell_complete(context, "")} == {"rnn", "lstm", "gru", "peephole"}
        assert [item.value for item in cell.shell_complete(context, "pe")] == ["peephole"]


def test_a_sentence_takes_at_most_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    page = help_page(80, monkeypatch)
    for setting in all_settings():
        if setting != "sources":
            option = as_option(setting).replace("--", "--(?:.no-.)?")
            (text,) = re.findall(rf"^  {option} .*\n(?: {{20,}}.*\n)*", page, re.M)
            assert text.count("\n") <= 2, text
            assert re.search(r" \w[^.]*[.…]( 0: none\.)?( \[default: [^]]+\])?$", " ".join(text.split())), text


def test_a_default_is_shown_where_it_is_what_a_user_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("cpu", "fp32", 1e11, 1 << 36, "measured")
    plan = choose("my", 1_000_000, 80, machine, {"train": {"max_time": 3600.0}})
    short = choose("my", 1_000, 80, machine, {})
    begun = choose("my", 1_000_000, 80, machine, {}, begun_at=1.5)
    automatic = plan.reasons.keys() | short.reasons.keys() | begun.reasons.keys() | {"vocab_size", "epochs"}
    values = {name: value for section in SECTIONS for name, value in plan.run.to_plain()[section].items()}
    page = " ".join(help_page(80, monkeypatch).split())
    for setting in SETTINGS:
        option = as_option(setting.name).replace("--", "--(?:.no-.)?")
        shown = re.search(rf" {option} (?:(?! --).)*?\[default: ([^]]*)\]", page)
        if setting.name == "sources":
            continue
        if setting.name in automatic or setting.default is None or setting.default is False:
            assert shown is None, setting.name
        else:
            assert shown is not None, setting.name
            assert str(values[setting.name]) in (shown[1], f"{shown[1].removesuffix('s')}.0"), setting.name


class Weather(SideInput, frozen=True, kw_only=True):
    """A side input that exists in this file only."""

    name: ClassVar[str] = "weather"

    weather_rows: Annotated[int, Meta(ge=0, le=9, description="Kinds of weather; 0: off.")] = 0
    weather_orders: Annotated[tuple[int, ...], Meta(description="Days to look back.")] = (1, 7)
    weather_wet: Annotated[bool, Meta(description="Whether it rains.")] = False


@pytest.fixture
def _weather(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setitem(SIDE_INPUTS, "weather", Weather)
        importlib.reload(train_module)
        yield
    importlib.reload(train_module)


@pytest.mark.usefixtures("_weather")
def test_a_new_side_input_has_its_options_without_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given("--weather-rows", "3", "--weather-orders", "2,4", "--weather-wet") == {
        "model": {"weather_rows": 3, "weather_orders": (2, 4), "weather_wet": True}
    }
    network = help_page(80, monkeypatch).partition("The network:")[2].partition("\n\n")[0]
    assert re.search(r"--weather-rows <int> +Kinds of weather; 0: off\. \[default: 0\]", network)
    assert re.search(r"--weather-orders N,N,… +Days to look back\. 0: none\. \[default: 1,7\]", network)
    assert re.search(r"--\[no-\]weather-wet +Whether it rains\.$", network)


@pytest.mark.parametrize(
    "words",
    [
        ["checkpoints", "list", "--root=~/made"],
        ["corpora", "clean", "--cache=~/made"],
        ["export", "numpy", "starter", "--output=~/made/a.py"],
        ["lab", "count", "--max-time", "1s", "--out=~/made"],
        ["originality", "starter", "--text", "my.txt", "--html=~/made/a.html"],
        ["train", "my.txt", "--max-steps", "1", "--hidden-size", "4", "--out=~/made"],
        ["tune", "my.txt", "--budget", "1s", "--out=~/made"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_tilde_is_the_home_folder_where_a_shell_leaves_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.txt").write_text("some text\n")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(app, words)  # whether it ends well is not asked here
    assert not (tmp_path / "~").exists()


def test_the_folder_of_an_unknown_user_is_a_name() -> None:
    assert expanded(Path("~nobody-of-this-name/x")) == Path("~nobody-of-this-name/x")
    assert expanded(None) is None
