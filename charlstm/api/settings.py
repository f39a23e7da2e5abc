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
        require_names(list(kwargs), known)
        return function(*args, **kwargs)

    checked.__signature__ = signature.replace(parameters=[*own, *settings])  # type: ignore[attr-defined]
    return checked


class Settings(TypedDict, total=False):
    """Every setting of a run; one that is missing or None is chosen from the text, the budget and the machine."""

    # Generated from the schemas: see tests/api/settings_block.py.
    embedding_size: int | None
    """Numbers that represent each token."""
    hidden_size: int | None
    """Units per layer: more of them learn more, and more slowly."""
    num_layers: int | None
    """Recurrent layers, one above the other."""
    cell: Literal["rnn", "lstm", "gru", "peephole"] | None
    """lstm, gru, peephole (an LSTM whose gates see its cell state) or rnn."""
    ensemble: int | None
    """Networks side by side, trained separately; their logits are averaged."""
    bidirectional: bool | None
    """Read from both ends: it fills blanks, and cannot write."""
    attention_window: int | None
    """Past hidden states of the top layer it attends to; 0: no attention."""
    skip_connections: bool | None
    """Every layer reads the embedding, and the softmax reads every layer (Graves 2013)."""
    dropout: float | None
    """Share of each layer's output dropped in training."""
    weight_drop: float | None
    """DropConnect: share of recurrent weights dropped in training."""
    ngram_order: int | None
    """Tokens of the longest n-gram that has an embedding; below 2: none."""
    ngram_buckets: int | None
    """Rows of the table that all n-grams share by their hash."""
    ngram_dropout: float | None
    """Share of n-gram embeddings dropped in training."""
    ngram_decay: float | None
    """Weight decay of an n-gram embedding, whenever it is read."""
    match_orders: tuple[int, ...] | None
    """Lengths of the contexts whose last continuation is looked up; none: off."""
    match_slots: int | None
    """Slots of each memory: about how many tokens back it reaches."""
    encoding: str | None
    """The text's encoding if it is not UTF-8: cp1252, utf-16, …"""
    newlines: Literal["normalise", "keep"] | None
    r"""normalise (\r\n becomes \n) or keep."""
    tokenizer: Literal["char", "byte", "unigram", "bpe"] | None
    """What a token is: char (a character), byte (reads any file), unigram or bpe (subwords)."""
    vocab_size: int | None
    """Subwords that unigram or bpe learn."""
    min_count: int | None
    """Characters rarer than this become one unknown symbol."""
    val_fraction: float | None
    """The last part of the text, kept for validation: 0.1 is a tenth."""
    windows: Literal["stateful", "shuffled"] | None
    """stateful: each window continues from the last one's state; shuffled: windows in any order."""
    batch_size: int | None
    """Windows of text in each training step."""
    seq_len: int | None
    """Length of truncated back-propagation, in tokens."""
    streams: int | None
    """Parallel streams of text with a state each; steps take them in turn."""
    reset_prob: float | None
    """Probability of resetting the state at a window."""
    max_time: float | str | None
    """Train for this long: 90s, 5m, 1h30m."""
    max_steps: int | None
    """Train for so many steps."""
    epochs: float | None
    """Train for so many passes over the text."""
    optimizer: Literal["soap", "adamw"] | None
    """soap (fewer steps, each a little longer) or adamw."""
    lr: float | None
    """Peak learning rate; too high and training diverges."""
    warmup: float | None
    """Share of training in which the learning rate rises."""
    beta2: float | None
    """Decay of the optimizer's average of squared gradients."""
    grad_clip: float | None
    """Clip the gradient's norm to this."""
    weight_decay: float | None
    """Weight decay of matrices."""
    ema_decay: float | None
    """Decay of the moving average of the weights; 0: no average."""
    eval_every: int | None
    """Steps between evaluations on the validation text."""
    patience: int | None
    """Stop after so many evaluations without progress; 0: never."""
    save_every: float | str | None
    """Time between saves of what a resume needs."""
    preview: int | None
    """Length of the sample printed during training; 0: none."""
    seed: int | None
    """A seed trains the same network again, if it ends by steps or epochs."""
    device: str | None
    """cpu, cuda, cuda:1 or mps."""
    precision: Literal["fp32", "bf16", "fp16"] | None
    """Precision of matrix products: fp32, bf16 or fp16."""
    threads: int | None
    """CPU threads."""
