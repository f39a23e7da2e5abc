"""Named settings: fixed points to start from; settings that a preset does not name are chosen automatically."""

from __future__ import annotations

from typing import Any

from charlstm.errors import NotFoundError

PRESETS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "tiny": (
        "a minute on any laptop: 1×128",
        {"model": {"num_layers": 1, "hidden_size": 128, "embedding_size": 32}, "data": {"batch_size": 16}},
    ),
    "small": (
        "a few minutes: 1×256",
        {"model": {"num_layers": 1, "hidden_size": 256, "embedding_size": 64}, "data": {"batch_size": 16}},
    ),
    "medium": (
        "an hour, or a text of some MB: 2×512",
        {
            "model": {"num_layers": 2, "hidden_size": 512, "dropout": 0.3, "skip_connections": False},
            "data": {"batch_size": 16},
        },
    ),
    "large": (
        "a GPU, or a day: 3×1024 with skip connections",
        {
            "model": {
                "num_layers": 3,
                "hidden_size": 1024,
                "dropout": 0.4,
                "weight_drop": 0.2,
                "skip_connections": True,
            },
            "data": {"batch_size": 64, "seq_len": 128},
        },
    ),
    "starter": (
        "what `make starter` trains: 2×512 with skip connections, its length in steps, so that it can be made again",
        {
            "model": {
                "num_layers": 2,
                "hidden_size": 512,
                "embedding_size": 64,
                "skip_connections": True,
                "ngram_order": 6,
                "ngram_buckets": 65_536,
                "ngram_dropout": 0.1,
                "match_orders": (3, 6),
                "dropout": 0.0,
                "weight_drop": 0.0,
            },
            "data": {
                "batch_size": 32,
                "seq_len": 64,
                "streams": 64,
                "reset_prob": 0.03,
                "val_fraction": 0.009454876989564235,  # the books held out: see benchmarks/starter_mix.py
            },
            "train": {
                "max_steps": 80_000,
                "optimizer": "soap",
                "lr": 7e-3,
                "warmup": 0.03,
                "beta2": 0.99,
                "grad_clip": 0.5,
                "weight_decay": 0.05,
                "ema_decay": 0.998,
                "eval_every": 4000,
                "patience": 0,
                "seed": 1,
            },
        },
    ),
    "char-rnn": (
        "the defaults of Karpathy's char-rnn (2015): 2×128, batch 50, window 50",
        {
            "model": {
                "num_layers": 2,
                "hidden_size": 128,
                "skip_connections": False,
                "ngram_order": 0,
                "match_orders": (),
                "dropout": 0.0,
                "weight_drop": 0.0,
            },
            "data": {"batch_size": 50, "seq_len": 50, "streams": 50, "val_fraction": 0.05, "reset_prob": 0.0},
            "train": {
                "optimizer": "adamw",
                "lr": 2e-3,
                "grad_clip": 5.0,
                "ema_decay": 0.0,
                "weight_decay": 0.0,
                "patience": 0,
            },
        },
    ),
}


def preset(name: str) -> dict[str, dict[str, Any]]:
    """Return the settings of a preset, by section.

    Raises:
        NotFoundError: there is no preset of this name.
    """
    if name not in PRESETS:
        raise NotFoundError(f"no preset {name!r}", hint=f"There are: {', '.join(PRESETS)}.")
    return PRESETS[name][1]
