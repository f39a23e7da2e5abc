"""Small networks to try things on."""

from __future__ import annotations

from typing import Any

from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine
from charlstm.engine.torch_backend import TorchBackend
from charlstm.nn.architecture import Architecture
from charlstm.nn.model import CharLM
from charlstm.tokenizers import CharTokenizer, Tokenizer


def architecture(**settings: Any) -> Architecture:
    """The architecture of these settings; the others have their defaults."""
    return Architecture.from_settings(settings)


def tokenizer_for(model: CharLM) -> CharTokenizer:
    """A tokenizer of as many characters as the network knows."""
    return CharTokenizer("".join(map(chr, range(97, 97 + model.architecture.vocab_size))))


def engine_for(model: CharLM, tokenizer: Tokenizer | None = None) -> Engine:
    """A causal network in NumPy."""
    return Engine(model.architecture, model.to_tensors(), tokenizer or tokenizer_for(model))


def bidirectional_engine_for(model: CharLM, reach: int, tokenizer: Tokenizer | None = None) -> BidirectionalEngine:
    """A bidirectional network in NumPy."""
    return BidirectionalEngine(model.architecture, model.to_tensors(), tokenizer or tokenizer_for(model), reach)


def torch_backend_for(model: CharLM) -> TorchBackend:
    """A causal network stepped with torch."""
    return TorchBackend(model.eval(), tokenizer_for(model))
