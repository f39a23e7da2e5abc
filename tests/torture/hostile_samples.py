"""The whole files that the tests of hostile files change: models, runs, caches, a search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from charlstm.checkpoint.format import write
from charlstm.checkpoint.writing import Writing
from charlstm.config import DataConfig
from charlstm.corpora.encode import encode
from charlstm.corpora.sources import open_sources
from charlstm.events import StepDone, to_json
from tests.checkpoint_samples import model
from tests.trained_checkpoints import prose

GOLDEN = Path(__file__).parents[1] / "golden"


def prepare(folder: Path) -> None:
    """Put whole files of every kind into a folder."""
    (folder / "search").mkdir(parents=True)
    (folder / "text.txt").write_text(prose(3000), "utf-8")
    _models(folder)
    _caches(folder)
    _runs(folder)
    _search(folder)


def _models(folder: Path) -> None:
    for path in GOLDEN.glob("*.safetensors"):
        if ".resume" not in path.name and "side-inputs-ensemble.safetensors" not in path.name:
            (folder / f"whole-{path.name}").write_bytes(path.read_bytes())
    writing = Writing(temperature=0.7, no_repeat=12, longest_run=4, starts=("ab\n", "de "))
    write(folder / "whole-small.safetensors", replace(model(), words=("ab", "de"), writing=writing))


def _caches(folder: Path) -> None:
    text = str(folder / "text.txt")
    corpus = open_sources([text], cache=folder / "cache")
    encode(corpus, DataConfig(sources=(text,)), folder / "cache")
    encode(corpus, DataConfig(sources=(text,), tokenizer="unigram", vocab_size=290), folder / "other")
    (folder / "cache" / "tokenizers").mkdir()
    for path in (folder / "other" / "tokenizers").iterdir():
        path.rename(folder / "cache" / "tokenizers" / path.name)


def _runs(folder: Path) -> None:
    import charlstm

    common = {
        "root": folder / "runs",
        "cache": folder / "cache",
        "init_from": "none",
        "hidden_size": 8,
        "num_layers": 1,
        "embedding_size": 4,
        "batch_size": 4,
        "seq_len": 16,
        "eval_every": 3,
        "max_steps": 6,
        "preview": 10,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
    }
    several = {
        "carried": {"streams": 8, "ngram_order": 2, "ngram_buckets": 64, "match_orders": (2,), "match_slots": 64},
        "shuffled": {"windows": "shuffled", "optimizer": "adamw", "ngram_order": 0, "match_orders": ()},
    }
    for name, own in several.items():
        for _ in charlstm.train(folder / "text.txt", name=name, **common, **own):
            pass
        path = folder / "runs" / name / "metrics.jsonl"
        steps = [StepDone(step, step / 6, 3 - step / 6, 0.01, 0.5, step * 64, step / 10) for step in range(1, 7)]
        first, *others = path.read_text().splitlines()
        path.write_text("\n".join([first, *map(to_json, steps), *others]) + "\n")


def _search(folder: Path) -> None:
    from charlstm.tuning.events import Trial
    from charlstm.tuning.study import open_study
    from tests.tuning.test_study import IDENTITY, STATES

    with open_study(folder / "study.sqlite", IDENTITY) as study:
        study.requeue_unfinished()
        for number, state in enumerate(STATES[:3]):
            _, settings = study.ask()
            study.is_hopeless(number, 2.0 + number, 0.5)
            study.record(Trial(number, state, 2.0 + number, 3.0, 1.0, settings, {}, ""))
        study.ask()
