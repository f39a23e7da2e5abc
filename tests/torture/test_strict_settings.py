"""Wherever settings can be given, a value of another kind is one clear error at the call, and never taken for 1."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charlstm
from charlstm.api.model import Model
from charlstm.config import SECTIONS, check_partial, settings_in
from charlstm.errors import ConfigError, UsageError
from charlstm.settings_file import read_settings
from tests.checkpoint_samples import model
from tests.torture.small_runs import prepare, run, train_command

NEVER = (math.nan, math.inf, -math.inf, b"1", 1j, object, {1: 2})
"""What no setting takes."""
HUGE = 10**400
WRONG: dict[type, tuple[Any, ...]] = {
    int: (*NEVER, True, False, 1.0, 2.5, "1", [], -1, np.True_),
    float: (*NEVER, True, False, "1", [], HUGE, -1, np.False_),
    bool: (*NEVER, 0, 1, 1.0, "True", [], np.int64(1)),
    str: (*NEVER, True, 1, 2.5, HUGE),
}
SETTINGS: dict[str, dict[str, type]] = {
    "generate": {
        "length": int, "temperature": float, "top_k": int, "top_p": float, "min_p": float, "no_repeat": int,
        "repetition_penalty": float, "longest_run": int, "stop": str, "stop_after": str, "lines": int, "seed": int,
        "match": str, "starts": str, "max_line": int, "no_copy": int, "rhyme": bool, "particles": int, "source": str,
        "unknown": str,
    },
    "fill": {
        "count": int, "temperature": float, "candidates": int, "newlines": bool, "seed": int, "unknown": str,
    },
    "score": {"exact": bool, "device": str},
    "score_dynamic": {"segment": int, "lr": float, "decay": float, "device": str},
    "records": {
        "count": int, "new": bool, "length": int, "temperature": float, "top_k": int, "seed": int, "max_line": int,
        "no_copy": int, "particles": int, "source": str, "unknown": str,
    },
    "next": {"top": int, "unknown": str},
    "save": {"path": str, "force": bool},
    "to_torch": {"device": str},
}  # fmt: skip
FIRST = {"fill": ("a__b",), "save": ("file.safetensors",), "to_torch": (), "records": ()}
OWN_RULES = {"words"}
"""What takes values of several kinds."""


@pytest.fixture(scope="module")
def writer() -> Model:
    """A network that writes, also records."""
    from dataclasses import replace

    from charlstm.checkpoint.writing import Writing

    return Model(replace(model("\n abcdefgh", hidden=8), writing=Writing(record="\n", longest_record=5)))


def call(method: str, writer: Model, name: str, value: object) -> object:
    """Call a method with one setting."""
    first = FIRST.get(method, ("abc",))
    positional = next(iter(inspect.signature(getattr(writer, method)).parameters), "")
    return getattr(writer, method)(*(() if name == positional else first), **{name: value})


@pytest.mark.parametrize("method", SETTINGS)
def test_values_of_another_kind_are_refused_by_the_library(writer: Model, tmp_path, monkeypatch, method: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name, kind in SETTINGS[method].items():
        for value in WRONG[kind]:
            with pytest.raises(UsageError) as caught:
                call(method, writer, name, value)
            assert len(str(caught.value)) < 300, (name, value)


def test_every_setting_of_a_draw_is_among_them() -> None:
    for method in ("generate", "fill", "score_dynamic"):
        names = set(inspect.signature(getattr(Model, method)).parameters) - {"self", "prompt", "text", "progress"}
        assert names - OWN_RULES == set(SETTINGS[method])


@pytest.mark.parametrize("value", [True, 1, math.nan, None, [1], b"ab", HUGE])
def test_words_and_texts(writer: Model, value: object) -> None:
    for attempt in (lambda: writer.generate(value), lambda: writer.fill(value), lambda: writer.score(value)):
        with pytest.raises(UsageError):
            attempt()
    if value is not True:
        with pytest.raises(UsageError):
            writer.generate("a", length=3, words=[value] if value == [1] else value)


@pytest.mark.parametrize(
    "weights", [True, 2.0, "ab", [True, 1], [1], [math.nan, 1], [math.inf, 1], [-1, 1], [0, 0], [HUGE, 1], [None, 1]]
)
def test_weights_of_a_mix(writer: Model, weights: Any) -> None:
    with pytest.raises(UsageError):
        charlstm.mix(writer, writer, weights=weights)


def _wrong_for(setting: Any) -> tuple[Any, ...]:
    kind = setting.type if isinstance(setting.type, type) else type((setting.choices or (None,))[0])
    wrong = WRONG.get(kind, NEVER)
    if kind is int:
        wrong = (*wrong, 1 << 70, HUGE)
    if setting.name == "lr":
        wrong = (*wrong, 1e308, 0, 0.0)
    return (*wrong, 1 << 40) if setting.name == "threads" else wrong


@pytest.mark.parametrize("section", SECTIONS)
def test_settings_of_a_training(section: str) -> None:
    for setting in settings_in(section):
        for value in _wrong_for(setting):
            with pytest.raises(ConfigError) as caught:
                check_partial(section, {setting.name: value})
            assert f"`{setting.name}" in str(caught.value)
            assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1 << 70), ("threads", 1 << 40), ("lr", 1e308), ("lr", math.nan), ("max_steps", True),
        ("hidden_size", 8.0), ("preview", False), ("name", 1), ("name", True), ("root", 1.5), ("cache", True),
        ("force", 1), ("force", "yes"), ("init_from", HUGE), ("init_from", True), ("device", 1), ("save_every", True),
        ("max_time", math.inf), ("max_time", "soon"), ("match_orders", (True,)), ("match_orders", [2.0]),
    ],
)  # fmt: skip
def test_a_training_of_the_library(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "text.txt").write_text("abc\n" * 500)
    settings = {"root": tmp_path / "runs", "cache": tmp_path / "cache", "init_from": "none", "max_steps": 1}
    with pytest.raises(UsageError):
        charlstm.train(tmp_path / "text.txt", **{**settings, name: value})
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("source", [True, 1, HUGE, b"text.txt", None])
def test_sources_of_a_training(source: Any) -> None:
    with pytest.raises(UsageError):
        charlstm.train(source)


@pytest.mark.parametrize(
    "line",
    ["seed = 1.0", "threads = true", "lr = nan", "lr = inf", "lr = 1e308", "lr = true", "seed = " + "9" * 21,
     "max_steps = 2.0", "patience = false", "threads = 1099511627776", "decay_to_start = 1", "warmup = nan"],
)  # fmt: skip
def test_settings_files(tmp_path: Path, line: str) -> None:
    (tmp_path / "settings.toml").write_text(f"[train]\n{line}\n")
    with pytest.raises(ConfigError, match=line.partition(" ")[0]):
        read_settings(tmp_path / "settings.toml")


OPTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "train": (
        ("--lr", "1e308"), ("--lr", "nan"), ("--threads", "1099511627776"), ("--threads", "1.5"), ("--seed", "1e3"),
        ("--seed", str(1 << 70)), ("--hidden-size", "8.5"), ("--max-time", "inf"), ("--epochs", "nan"),
        ("--batch-size", "True"), ("--match-orders", "2.5"), ("--grad-clip", "inf"), ("--seq-len", "9" * 5000),
    ),
    "sample": (
        ("--temperature", "nan"), ("--temperature", "inf"), ("--seed", str(1 << 70)), ("--length", "1.5"),
        ("--top-k", "True"), ("--top-p", "nan"), ("--max-line", "1.5"), ("--threads", str(1 << 40)),
        ("--length", "9" * 5000), ("--min-p", "1e999"),
    ),
    "fill": (("--temperature", "nan"), ("-n", "1.5"), ("-n", "0"), ("--seed", "-1"), ("--candidates", "9" * 5000)),
}  # fmt: skip


@pytest.mark.parametrize("command", OPTIONS)
def test_options(tmp_path: Path, monkeypatch, capsys, command: str) -> None:
    folder = prepare(tmp_path / "here")
    (folder / "checkpoints" / "mine").mkdir(parents=True)
    from charlstm.checkpoint.format import write

    write(folder / "checkpoints" / "mine" / "model.safetensors", model("\n abc", hidden=8))
    words = {"train": train_command("run", 2), "sample": ["sample", "mine"], "fill": ["fill", "--ckpt", "mine", "a__"]}
    for option, value in OPTIONS[command]:
        code, said = run(folder, [*words[command], option, value], monkeypatch, capsys)
        assert code == 2, (option, value, said)
        assert said.startswith("charlstm: "), said
        assert said.count("\n") == 1, said


def test_fp16_on_a_cpu_is_refused_in_one_line_or_trains(tmp_path: Path, monkeypatch, capsys) -> None:
    folder = prepare(tmp_path / "here")
    words = train_command("half", 2)
    words[words.index("fp32")] = "fp16"
    code, said = run(folder, words, monkeypatch, capsys)
    if code:
        assert code == 2, said
        assert said.startswith("charlstm: "), said
        assert said.count("\n") == 1, said
    else:
        assert (folder / "checkpoints" / "half" / "model.safetensors").exists()
