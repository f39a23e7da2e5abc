"""The settings of a run: what the network is, what it reads, how it trains. Frozen, checked, TOML and JSON."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """The base of all settings: frozen, no unknown names, docstrings as descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


class ModelConfig(Settings):
    """The shape of the network: embedding → stack of recurrent layers → softmax over the vocabulary."""

    vocab_size: Positive
    """The number of different tokens."""
    embedding_size: Positive = 64
    """Features of each token's embedding."""
    hidden_size: Positive = 256
    """Features of each recurrent layer's state."""
    num_layers: Positive = 2
    """Recurrent layers, one above the other."""
    cell: Literal["rnn", "lstm", "gru", "peephole"] = "lstm"
    """The recurrent cell of every layer; ``peephole`` is the LSTM whose gates see its cell."""
    attention_window: Annotated[int, Field(ge=0, le=65536)] = 0
    """Hidden states of the top layer that its attention looks back on; 0 is no attention."""
    ngram_order: Annotated[int, Field(ge=0, le=16)] = 0
    """Tokens of the longest n-gram that is looked up in a table and added to a token's embedding; below 2: none."""
    ngram_rows: Annotated[int, Field(ge=1, le=1 << 24)] = 65536
    """Rows of that table, which n-grams of all lengths share."""
    ngram_dropout: Fraction = 0.0
    """Share of n-grams that are not looked up, each drawn for itself."""
    recall: Annotated[tuple[Annotated[int, Field(ge=2, le=16)], ...], Field(max_length=16)] = ()
    """Of n-grams of so many tokens, what followed when a text last had them is added to a token's embedding."""
    recall_rows: Annotated[int, Field(ge=1, le=1 << 20)] = 8192
    """Entries of each of those memories: about how many tokens back it reaches."""
    ensemble: Annotated[int, Field(ge=1, le=16)] = 1
    """Networks side by side, each with its own layers and learning for itself; their logits are averaged."""
    bidirectional: bool = False
    """Whether every layer also reads from the end: such a network fills gaps, and cannot write on."""
    skip: bool = False
    """Whether every layer sees the embedding and the softmax sees every layer (Graves 2013)."""
    dropout: Fraction = 0.0
    """Share of features dropped behind each layer, one mask for a whole window; half of it on the embedding."""
    weight_drop: Fraction = 0.0
    """Share of recurrent weights dropped, one mask for a whole window (Merity et al. 2018)."""

    @model_validator(mode="after")
    def _one_way_of_looking_around(self) -> Self:
        if self.bidirectional and self.attention_window:
            raise ValueError("bidirectional and attention_window exclude each other: attention looks back only")
        if self.bidirectional and self.ngram_order >= 2:
            raise ValueError("bidirectional and ngram_order exclude each other: n-grams are of what was read before")
        if self.bidirectional and self.recall:
            raise ValueError("bidirectional and recall exclude each other: only what was read before is recalled")
        if self.bidirectional and self.ensemble > 1:
            raise ValueError("bidirectional and ensemble exclude each other: networks that read one way are averaged")
        if self.attention_window and self.ensemble > 1:
            raise ValueError("attention_window and ensemble exclude each other: only networks without it are averaged")
        return self


class DataConfig(Settings):
    """What is read and how it is cut."""

    sources: tuple[str, ...] = ("english",)
    """Files, folders, globs, catalogue names, virtual sources, or ``-`` for standard input; joined in this order."""
    encoding: str | None = None
    """The text's encoding; None is UTF-8, with a byte order mark of UTF-8, UTF-16 or UTF-32 recognised."""
    newlines: Literal["normalise", "keep"] = "normalise"
    """Whether ``\\r\\n`` and ``\\r`` become ``\\n``."""
    tokenizer: Literal["char", "byte", "unigram", "bpe"] = "char"
    """How text becomes ids; ``unigram`` and ``bpe`` are SentencePiece models."""
    vocab_size: Positive | None = None
    """The vocabulary of a SentencePiece model; the others find their own."""
    min_count: Positive = 1
    """Characters rarer than this share one unknown symbol (``char`` only)."""
    val_fraction: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    """The last part of the text, kept for validation; 0 trains on everything."""
    windows: Literal["stateful", "shuffled"] = "stateful"
    """Parallel streams with the state carried on, or windows in random order from a zero state."""
    batch_size: Positive = 16
    """Windows a step."""
    seq_len: Positive = 64
    """Tokens a window."""
    streams: Positive = 16
    """Parallel streams of text, each with its own carried state (``stateful`` only). A step trains on `batch_size`
    of them, the next step on the next ones, so that a small batch still hears many places of the text in turn; what
    is over a multiple of it is left out."""
    state_reset: Fraction = 0.05
    """The chance that a stream's state starts from zero at a window (``stateful`` only)."""


class TrainConfig(Settings):
    """How the network learns, for how long, on what."""

    max_time: Annotated[float, Field(gt=0)] | None = None
    """Budget in seconds of training; with several budgets the first reached ends the run."""
    max_steps: Positive | None = None
    """Budget in steps of the optimizer."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Budget in passes over the training text."""
    optimizer: Literal["soap", "adamw"] = "soap"
    """``soap`` is AdamW in a basis that turns with the gradients; a step costs more and gets further."""
    lr: Annotated[float, Field(gt=0)] = 6e-3
    """The highest learning rate of the schedule."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the budget in which the learning rate rises."""
    beta2: Fraction = 0.99
    """The optimizer's memory of squared gradients, a step."""
    grad_clip: Annotated[float, Field(gt=0)] = 0.5
    """The largest global norm of the gradient."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Share of each matrix taken off at a learning rate of 1, a step."""
    ngram_decay: Annotated[float, Field(ge=0)] = 2.0
    """Share of an n-gram's embedding taken off at a learning rate of 1, whenever it is read."""
    average: Fraction = 0.995
    """Decay a step of the exponential average of weights, but for the n-grams'; 0 keeps none."""
    eval_every: Positive = 500
    """Steps between evaluations; there is always one at the end."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Evaluations without progress after which training stops; 0 never stops early."""
    save_every: Annotated[float, Field(gt=0)] = 30.0
    """Seconds between saves of what an exact resume needs."""
    preview: Annotated[int, Field(ge=0)] = 200
    """Tokens of text shown at evaluations, and each tenth of the budget without one, the first excepted; 0 shows
    none."""
    seed: Annotated[int, Field(ge=0)] = 1
    """The seed of everything random in training."""
    device: str = "cpu"
    """``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """The precision of matrix products; weights are fp32 always."""
    threads: Positive | None = None
    """CPU threads; None takes torch's number, or half of it while that is quicker where the budget is a time."""


class RunConfig(Settings):
    """All settings of one run, as its checkpoint keeps them."""

    name: str
    """The run's name: its folder's name under the checkpoint root."""
    model: ModelConfig
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _no_state_from_the_future(self) -> Self:
        if self.model.bidirectional and self.data.windows == "stateful":
            raise ValueError("bidirectional needs windows = 'shuffled': no state can be carried on from the text's end")
        return self


SECTIONS: dict[str, type[Settings]] = {"model": ModelConfig, "data": DataConfig, "train": TrainConfig}


def section_of(setting: str) -> str:
    """The section (``model``, ``data`` or ``train``) a setting belongs to; names are unique but for ``vocab_size``."""
    return next(name for name in ("data", "train", "model") if setting in SECTIONS[name].model_fields)


BUDGETS = ("max_time", "max_steps", "epochs")
"""How long a run goes on; it ends at the first of them."""
MAY_CHANGE = (*BUDGETS, "device", "precision", "threads")
"""The settings of `TrainConfig` that may change in a run that goes on: how long it does, and on what."""
