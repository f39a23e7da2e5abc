"""The settings of a run as keywords of `charlstm.train` and `charlstm.fit`, for type checkers and completion."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from inspect import Parameter
from typing import Literal, ParamSpec, TypedDict, TypeVar

from charlstm.api.arguments import require_names

P = ParamSpec("P")
R = TypeVar("R")


def with_settings(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of ``**settings``: completion and help show each of them, and a misspelt one is refused.

    The refusal is a `ConfigError` that suggests the nearest name.
    """
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not Parameter.VAR_KEYWORD]
    settings = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=kind.__forward_arg__)
        for name, kind in Settings.__annotations__.items()
    ]
    known = [parameter.name for parameter in (*own, *settings) if parameter.kind is Parameter.KEYWORD_ONLY]

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        from charlstm.config import settings_in  # at the call: a side input may have been added since

        require_names(list(kwargs), list(dict.fromkeys([*known, *(setting.name for setting in settings_in("model"))])))
        return function(*args, **kwargs)

    checked.__signature__ = signature.replace(parameters=[*own, *settings])  # type: ignore[attr-defined]
    return checked


class Settings(TypedDict, total=False):
    """Every setting of a run; one that is missing or None is chosen from the text, the budget and the machine."""

    # Generated from the schemas: see tests/api/settings_block.py.
    embedding_size: int | None
    """Features of each token's embedding."""
    hidden_size: int | None
    """Units per layer: more learn more, but more slowly."""
    num_layers: int | None
    """Recurrent layers, stacked."""
    cell: Literal["rnn", "lstm", "gru", "peephole"] | None
    """Cell: lstm, gru, peephole (an LSTM whose gates read its cell state) or rnn."""
    ensemble: int | None
    """Networks trained separately, side by side; their logits are averaged."""
    bidirectional: bool | None
    """Read in both directions: for filling blanks; it cannot generate text."""
    attention_window: int | None
    """Past hidden states of the top layer to attend to; 0: no attention."""
    skip_connections: bool | None
    """Every layer reads the embedding, and the softmax reads every layer (Graves 2013)."""
    dropout: float | None
    """Share of each layer's output dropped in training."""
    weight_drop: float | None
    """DropConnect: share of recurrent weights dropped in training."""
    ngram_order: int | None
    """Length of the longest n-gram with an embedding, in tokens; 0: none."""
    ngram_buckets: int | None
    """Rows of the table that n-grams are hashed into."""
    ngram_dropout: float | None
    """Share of n-gram embeddings dropped in training."""
    ngram_decay: float | None
    """Weight decay of an n-gram embedding each time it is read."""
    match_orders: tuple[int, ...] | None
    """Context lengths of the match memory, which looks up what followed last time."""
    match_slots: int | None
    """Reach of the match memory in tokens: its slots per context length."""
    encoding: str | None
    """Encoding of the text if it is not UTF-8: cp1252, utf-16, …; auto guesses it."""
    bad_bytes: Literal["error", "replace", "skip"] | None
    """Bytes that do not fit the encoding: error, replace by U+FFFD, or skip."""
    newlines: Literal["normalise", "keep"] | None
    r"""Line ends: normalise (\r\n becomes \n) or keep."""
    records: str | None
    """Texts in a list: lines, paragraphs, or the line between them; none: one text."""
    tokenizer: Literal["char", "byte", "unigram", "bpe"] | None
    """Tokens: char (characters), byte (any file), unigram or bpe (subwords)."""
    vocab_size: int | None
    """Number of subwords that unigram or bpe learns."""
    min_count: int | None
    """Characters rarer than this become one unknown symbol."""
    val_fraction: float | None
    """Share of the text, at its end, kept for validation."""
    windows: Literal["stateful", "shuffled"] | None
    """stateful: each window continues from the last state; shuffled: random order."""
    batch_size: int | None
    """Windows of text per training step."""
    seq_len: int | None
    """Length of a window and of truncated back-propagation, in tokens."""
    streams: int | None
    """Parallel streams of text, each with a state; steps take turns on them."""
    reset_prob: float | None
    """Probability of resetting the state at the start of a window."""
    max_time: float | str | None
    """Train for this long: 90s, 5m, 1h30m."""
    max_steps: int | None
    """Train for this many steps."""
    epochs: float | None
    """Train for this many passes over the text."""
    optimizer: Literal["soap", "adamw"] | None
    """soap (fewer steps, each a little longer) or adamw."""
    lr: float | None
    """Peak learning rate; too high and training diverges."""
    warmup: float | None
    """Share of training in which the learning rate rises."""
    beta2: float | None
    """Decay of the optimizer's average of squared gradients."""
    grad_clip: float | None
    """Clip the gradient's norm to this value."""
    weight_decay: float | None
    """Weight decay of the weight matrices."""
    decay_to_start: bool | None
    """Weights decay towards those that training starts from, not towards zero."""
    ema_decay: float | None
    """Decay of the moving average of the weights; 0: no average."""
    eval_every: int | None
    """Steps between evaluations on the validation text."""
    patience: int | None
    """Stop after this many evaluations without progress; 0: never."""
    on_divergence: Literal["stop", "rollback"] | None
    """When the loss is not finite: stop, or rollback to the last save and halve the rate."""
    save_every: float | str | None
    """Time between saves to resume from; else 30 seconds, or more where one takes long."""
    preview: int | None
    """Length of the sample printed during training, in tokens; 0: none."""
    seed: int | None
    """The same seed and settings train the same network, if training ends by steps or epochs."""
    device: str | None
    """Device to train on: cpu, cuda, cuda:1 or mps."""
    precision: Literal["fp32", "bf16", "fp16"] | None
    """Precision of matrix products: fp32, bf16 or fp16."""
    threads: int | None
    """Number of CPU threads."""
