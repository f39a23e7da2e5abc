"""A run that was interrupted and goes on ends with the losses and weights of one that never was, to the bit.

Every pair of choices occurs in one of the runs: of precision, tokenizer, cell, kind of network and order of windows.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.run import METRICS, MODEL, RESUME
from charlstm.cli.interrupts import StopRequest
from charlstm.training.step import TrainStep
from charlstm.training.validation import Validation
from tests.torture.small_runs import BATCH, prepare, run

CHOICES = {
    "precision": ("fp32", "bf16"),
    "tokenizer": ("char", "byte", "unigram"),
    "cell": ("lstm", "rnn", "gru", "peephole"),
    "network": ("plain", "deep", "ensemble", "side inputs", "attention", "bidirectional", "records"),
    "windows": ("stateful", "shuffled"),
    "optimizer": ("soap", "adamw"),
    "end": ("in the first pass", "in the middle of a later one", "in an evaluation", "before an early stop"),
}
OPTIONS = {
    "plain": (),
    "deep": ("--num-layers", "2", "--dropout", "0.2", "--weight-drop", "0.2"),
    "ensemble": ("--ensemble", "2"),
    "side inputs": ("--ngram-order", "3", "--ngram-buckets", "64", "--match-orders", "2,3", "--ngram-dropout", "0.2"),
    "attention": ("--attention-window", "5"),
    "bidirectional": ("--bidirectional",),
    "records": ("--records", "lines"),
}
STOPPED_AFTER = {"in the first pass": 7, "in the middle of a later one": 33, "before an early stop": 9}
"""Steps. In an evaluation it is the second one that is given up."""
CHARACTERS = 2_000
"""Of the text: a pass has at most 28 windows of four times 16. Of a list it is half: its texts end within windows."""


def possible(choice: dict[str, str]) -> bool:
    if choice["network"] in ("bidirectional", "records"):
        return choice["windows"] == ("shuffled" if choice["network"] == "bidirectional" else "stateful")
    return True


def covering() -> list[dict[str, str]]:
    """Few combinations in which every possible pair of choices occurs."""
    every = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]
    every = [choice for choice in every if possible(choice)]
    random.Random(1).shuffle(every)
    missing = {pair for choice in every for pair in pairs(choice)}
    chosen: list[dict[str, str]] = []
    while missing:
        sample = every if len(every) < 400 else random.Random(len(chosen)).sample(every, 400)
        best = max(sample, key=lambda choice: len(missing.intersection(pairs(choice))))
        if not missing.intersection(pairs(best)):
            best = next(choice for choice in every if missing.intersection(pairs(choice)))
        chosen.append(best)
        missing.difference_update(pairs(best))
    return chosen


def pairs(choice: dict[str, str]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    yield from itertools.combinations(choice.items(), 2)  # type: ignore[misc]


def command(name: str, choice: dict[str, str]) -> list[str]:
    """The words of a training of 40 steps."""
    early = ("--patience", "3", "--lr", "1e-9") if choice["end"] == "before an early stop" else ("--lr", "0.01")
    size = ("--vocab-size", "275") if choice["tokenizer"] == "unigram" else ()
    return [
        *("train", "text.txt", "--name", name, "--resume", "auto", "--max-steps", "40", "--eval-every", "6"),
        *("--hidden-size", "8", "--embedding-size", "4", "--ngram-order", "0", "--match-orders", "0"),
        *(BATCH if choice["network"] != "ensemble" else BATCH[:-2]),
        *("--device", "cpu", "--threads", "1", "--preview", "0", "--init-from", "none", "-q"),
        *("--precision", choice["precision"], "--tokenizer", choice["tokenizer"], "--cell", choice["cell"]),
        *("--windows", choice["windows"], "--optimizer", choice["optimizer"], *size, *early),
        *OPTIONS[choice["network"]],
    ]


def outcome(folder: Path, name: str) -> tuple[dict[str, np.ndarray], list[object]]:
    """All tensors of a run, and its evaluations."""
    here = folder / "checkpoints" / name
    saved = {file: checkpoint_format.verify(here / file).tensors for file in (MODEL, RESUME)}
    tensors = {f"{file} {key}": value for file, each in saved.items() for key, value in each.items()}
    lines = [json.loads(line) for line in (here / METRICS).read_text().splitlines()]
    judged = [(line["step"], line["val_loss"], line["weights"]) for line in lines if line["event"] == "EvalDone"]
    return tensors, judged


def interrupt(end: str, patch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C come at a certain moment."""
    steps, evaluations, evaluating = [0], [0], [False]
    take, choose = TrainStep.__call__, Validation.choose

    def counted(self, *given, **options):
        steps[0] += 1
        return take(self, *given, **options)

    def watched(self, *given, **options):
        evaluations[0] += 1
        evaluating[0] = evaluations[0] == 2
        return choose(self, *given, **options)

    patch.setattr(TrainStep, "__call__", counted)
    patch.setattr(Validation, "choose", watched)
    stopped = STOPPED_AFTER.get(end)
    patch.setattr(StopRequest, "__call__", lambda self: evaluating[0] if stopped is None else steps[0] >= stopped)


@pytest.mark.slow
@pytest.mark.parametrize("choice", covering(), ids=lambda choice: ", ".join(choice.values()))
def test_it_goes_on_as_if_nothing_had_been(tmp_path, monkeypatch, capsys, choice):
    folder = prepare(tmp_path / "here", CHARACTERS // 2 if choice["network"] == "records" else CHARACTERS)
    code, said = run(folder, command("whole", choice), monkeypatch, capsys)
    assert code == 0, said
    with monkeypatch.context() as patch:
        interrupt(choice["end"], patch)
        code, said = run(folder, command("cut", choice), monkeypatch, capsys)
        assert code == 130, said
    cursor = checkpoint_format.read(folder / "checkpoints" / "cut" / RESUME).cursor
    assert (cursor["epoch"] > 0) == (choice["end"] == "in the middle of a later one"), cursor
    given_up = cursor["step"] % 6 == 0 and cursor["evaluated"] != cursor["step"]
    assert given_up == (choice["end"] == "in an evaluation"), cursor
    code, said = run(folder, command("cut", choice), monkeypatch, capsys)
    assert code == 0, said
    (want, judged), (got, judged_again) = outcome(folder, "whole"), outcome(folder, "cut")
    assert judged_again == judged
    assert len(judged) >= 3
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        np.testing.assert_array_equal(got[name], tensor, err_msg=name)
