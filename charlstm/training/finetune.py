"""Beginning from a trained network: its shape is kept, and its alphabet may grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charlstm.checkpoint.format import Checkpoint
from charlstm.config import DataConfig, ModelConfig, RunConfig
from charlstm.corpora.encode import fit_tokenizer
from charlstm.corpora.read import Corpus
from charlstm.errors import ConfigError
from charlstm.nn.shapes import RECALL_TABLE
from charlstm.settings_file import kept
from charlstm.tokenizers import CharTokenizer, Tokenizer, from_state
from charlstm.training.plan.merge import Given, merge


def with_shape_of(init: Checkpoint, given: Given) -> dict[str, dict[str, Any]]:
    """The settings with the network's shape and the tokenizer's kind taken from a checkpoint."""
    free = ("vocab_size", "dropout", "weight_drop", "ngram_dropout")
    whole = kept(ModelConfig, init.config["model"]).model_dump()
    shape = {name: value for name, value in whole.items() if name not in free}
    fixed = {"model": shape, "data": {"tokenizer": init.config["data"]["tokenizer"]}}
    for section, values in fixed.items():
        for name, value in values.items():
            asked = given.get(section, {}).get(name, value)
            if (tuple(asked) if isinstance(asked, list) else asked) != value:
                raise ConfigError(
                    f"{name} is {value} in the checkpoint to start from, and {asked} was asked for",
                    hint="Leave that setting out, or train without --init-from.",
                )
    return merge(given, fixed)


def grown(init: Checkpoint, corpus: Corpus, data: DataConfig, cache: Path) -> Tokenizer:
    """The checkpoint's tokenizer, grown by the new characters of a text where it can grow."""
    tokenizer = from_state(init.tokenizer)
    if not isinstance(tokenizer, CharTokenizer):
        return tokenizer
    fitted = fit_tokenizer(corpus, data, cache)
    assert isinstance(fitted, CharTokenizer)
    return tokenizer.grown(fitted.alphabet, unknown=fitted.unknown_id is not None)


def fitted_weights(init: Checkpoint, run: RunConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """The checkpoint's weights, with rows for the characters it did not know.

    Known characters keep their rows wherever their id has moved to. A new one begins as the average character,
    a little less likely than any other.
    """
    import numpy as np

    old, new = from_state(init.tokenizer), tokenizer
    tensors = {name: np.asarray(tensor, np.float32) for name, tensor in init.tensors.items()}
    if not (isinstance(old, CharTokenizer) and isinstance(new, CharTokenizer)):
        return tensors
    known = new.ids_in(old)
    mask = tensors["embedding.weight"][old.vocab_size :]  # of a bidirectional network
    for name in ("embedding.weight", "head.weight", "head.bias"):
        tensor = tensors[name][: old.vocab_size]
        strange = tensor.min(0) - 1 if name == "head.bias" else tensor.mean(0)
        grown = np.repeat(strange[None], run.model.vocab_size, 0)
        grown[known >= 0] = tensor[known[known >= 0]]
        tensors[name] = grown
    tensors["embedding.weight"] = np.concatenate((tensors["embedding.weight"], mask))
    if RECALL_TABLE in tensors:  # of each order one block: nothing, and behind it the characters
        blocks = tensors[RECALL_TABLE].reshape(len(run.model.recall), old.vocab_size + 1, -1)
        grown = np.repeat(blocks[:, 1:].mean(1, keepdims=True), run.model.vocab_size, 1)
        grown[:, known >= 0] = blocks[:, 1 + known[known >= 0]]
        tensors[RECALL_TABLE] = np.concatenate((blocks[:, :1], grown), 1).reshape(-1, blocks.shape[2])
    return tensors
