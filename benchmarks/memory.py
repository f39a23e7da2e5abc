"""How far from its peak is the memory that ``charlstm train --dry-run`` tells?

Run: ``python -m benchmarks.memory [--random N] [--seed S]``

Each of seventeen shapes, or of N that are drawn at random, trains in a process of its own, evaluates and saves. The
peak is what the process took beyond what it had when all was planned: of steps, of evaluations, of saves. Before it,
in another process, the memory is measured as ``--dry-run`` does, in a few steps; ``predicted`` is the sum of arrays
that a training is refused by where memory is short. Linux only. The last line is the record of the run as JSON.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import records

SETTINGS: tuple[Mapping[str, Mapping[str, Any]], ...] = (
    {"model": {"hidden_size": 512, "num_layers": 1}},
    {"model": {"hidden_size": 1024, "num_layers": 1}},
    {"model": {"hidden_size": 512, "num_layers": 2}, "train": {"optimizer": "adamw"}},
    {"model": {"hidden_size": 512, "num_layers": 2}, "train": {"optimizer": "adamw", "precision": "fp32"}},
    {
        "model": {"hidden_size": 256, "num_layers": 2},
        "data": {"batch_size": 64},
        "train": {"optimizer": "adamw", "precision": "fp32"},
    },
    {"model": {"hidden_size": 256, "num_layers": 1, "cell": "gru"}},
    {"model": {"hidden_size": 512, "num_layers": 1, "attention_window": 256}},
    {"model": {"hidden_size": 256, "num_layers": 1, "ensemble": 2}},
    {"model": {"hidden_size": 256, "num_layers": 2, "bidirectional": True}},
    {
        "model": {"hidden_size": 256, "num_layers": 1},
        "data": {"tokenizer": "bpe", "vocab_size": 4000},
    },
    {"model": {"hidden_size": 128, "num_layers": 1}},
    {"model": {"hidden_size": 384, "num_layers": 3}, "data": {"seq_len": 256}},
    {
        "model": {"hidden_size": 256, "num_layers": 4, "cell": "rnn", "ngram_order": 0, "match_orders": ()},
        "data": {"batch_size": 128, "seq_len": 128},
    },
    {"model": {"hidden_size": 384, "num_layers": 2, "cell": "peephole"}, "train": {"ema_decay": 0.99}},
    {"model": {"hidden_size": 256, "num_layers": 1}, "data": {"val_fraction": 0.0, "batch_size": 4, "seq_len": 32}},
    {"model": {"hidden_size": 1024, "num_layers": 2}, "data": {"batch_size": 64}, "train": {"precision": "fp32"}},
    {"model": {"hidden_size": 1024, "num_layers": 1}, "train": {"on_divergence": "rollback"}},
)
"""Settings that leave the rest to be chosen: cells, kinds of networks, optimizers and precisions, small and large."""

_RANDOM: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "model": {
        "hidden_size": (64, 128, 192, 256, 320, 384, 512, 640, 768, 1024),
        "num_layers": (1, 1, 1, 2, 3),
        "cell": ("lstm", "lstm", "lstm", "gru", "rnn", "peephole"),
        "ensemble": (1, 1, 1, 1, 2, 3),
        "attention_window": (0, 0, 0, 0, 0, 0, 0, 256),
    },
    "data": {"batch_size": (4, 8, 16, 16, 16, 32, 64, 128), "seq_len": (32, 64, 64, 64, 128, 256)},
    "train": {"optimizer": ("soap", "soap", "adamw"), "precision": (None, None, "fp32")},
}
"""What random shapes are drawn from, the frequent values several times; None is left to be chosen."""

PHASES = {"StepDone": "steps", "EvalDone": "evaluation", "CheckpointSaved": "save"}
"""What has been done when an event comes."""

_NEAR = 0.2

_EVALUATE_EVERY, _STEPS = 8, 30


def told_and_taken(settings: Mapping[str, Mapping[str, Any]], folder: Path) -> tuple[int, int | None, dict[str, int]]:
    """Measure in another process, and train in a third.

    Args:
        settings: by section.
        folder: an empty folder for its files.

    Returns:
        The bytes that were predicted, those that were measured if they were, and by phase the most that were taken.
    """
    words = ["".join(letters) for letters in np.random.default_rng(0).choice(list("etaoinshrdlu"), (3000, 6))]
    text = folder / "text.txt"
    text.write_text(" ".join(np.random.default_rng(1).choice(words, 20_000)), "ascii")
    measured, (predicted, taken) = (_in_process(kind, folder, settings) for kind in ("measure", "train"))
    return predicted, measured, taken


def _in_process(kind: str, folder: Path, settings: Mapping[str, Mapping[str, Any]]) -> Any:
    command = [sys.executable, "-m", "benchmarks.memory", "--child", kind, str(folder), json.dumps(settings)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=records.ROOT)
    return json.loads(done.stdout)


def _child(kind: str, folder: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what is measured, or train and print what was predicted and what was taken."""
    from charlstm.filling.preview import write_preview
    from charlstm.training import prepare
    from charlstm.training.beginning import Session
    from charlstm.training.memory import forget_peak, give_back, keep_freed_memory, resident
    from charlstm.training.rehearsal import measure

    keep_freed_memory()  # as the command line does
    given = {name: dict(settings.get(name, {})) for name in ("model", "data", "train")}
    given["data"]["sources"] = (str(folder / "text.txt"),)
    given["train"] |= {"max_steps": 1000, "eval_every": _EVALUATE_EVERY, "device": "cpu"}
    prepared = prepare.prepare(given, folder / "cache")
    if kind == "measure":
        print(json.dumps(measure(prepared, Session(write_preview=write_preview))))
        return
    give_back()  # what planning has freed is not there to be used again
    before, taken = resident("VmRSS"), dict.fromkeys(("network", *PHASES.values(), "all"), 0)
    (folder / "run").mkdir()
    trained = prepare.begin(prepared, folder / "run", session=Session(write_preview=write_preview))
    taken["network"] = resident("VmRSS") - before
    forget_peak()
    for event in trained.events(stop=lambda: trained.cursor.step == _STEPS):
        peak = resident("VmHWM") - before
        taken["all"] = max(taken["all"], peak)
        phase = PHASES.get(type(event).__name__, "all")
        # Steps up to the first evaluation, and the first of all else: later ones take what the others have freed.
        if not taken[phase] or (phase == "steps" and not taken["evaluation"]):
            taken[phase] = max(taken[phase], peak)
        forget_peak()
    print(json.dumps((prepared.plan.memory, taken)))


def random_settings(rng: random.Random) -> dict[str, dict[str, Any]]:
    """Draw a shape; an ensemble has no attention."""
    drawn = {
        section: {name: value for name, values in each.items() if (value := rng.choice(values)) is not None}
        for section, each in _RANDOM.items()
    }
    if drawn["model"]["ensemble"] > 1:
        drawn["model"]["attention_window"] = 0
    return drawn


def describe(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Return settings as one row: ``hidden_size=512, num_layers=1``."""
    return ", ".join(f"{name}={value}" for section in settings.values() for name, value in section.items())


def main() -> None:
    """Measure, print a table, record."""
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4]))
        return
    parser = records.parser(__doc__)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    record = records.begin("memory")
    rng, near = random.Random(options.seed), 0
    shapes = [random_settings(rng) for _ in range(options.random)] or SETTINGS
    for settings in shapes:
        with tempfile.TemporaryDirectory() as folder:
            predicted, measured, taken = told_and_taken(settings, Path(folder))
        row, peak, told = describe(settings), taken["all"], measured or predicted
        near += abs(peak / told - 1) <= _NEAR
        record.add(row, "told", "MB", told / 1e6)
        record.add(row, "peak / told", "times", peak / told)
        record.add(row, "peak / predicted", "times", peak / predicted)
        for phase, size in taken.items():
            record.add(row, phase, "MB", size / 1e6)
        print(f"{peak / told:5.2f} {'' if measured else '(not measured)'} {peak / predicted:5.2f}  {row}", flush=True)
    print(f"within {_NEAR:.0%}: {near} of {len(shapes)}")
    record.show()
    record.finish(options)


if __name__ == "__main__":
    main()
