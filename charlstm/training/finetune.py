"""Beginning from a trained network: its architecture is kept, and its alphabet may grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.format import Checkpoint
from charlstm.config import DataConfig, RunConfig
from charlstm.corpora.encode import fit_tokenizer
from charlstm.corpora.read import Corpus
from charlstm.errors import ConfigError
from charlstm.nn.shapes import side_input_tensor
from charlstm.nn.side_inputs import SIDE_INPUTS
from charlstm.tokenizers import CharTokenizer, Tokenizer
from charlstm.training.plan.merge import Given, merge

_FREE = ("vocab_size", "dropout", "weight_drop")
"""Settings of an architecture that a network which begins from another may have differently."""


def with_shape_of(init: Checkpoint, given: Given) -> dict[str, dict[str, Any]]:
    """The settings with the network's shape and the tokenizer's kind taken from a checkpoint.

    Args:
        init: the checkpoint to start from.
        given: the settings made by hand, by section.

    Raises:
        ConfigError: one of them is another than the checkpoint's.
    """
    free = {*_FREE, *(name for kind in SIDE_INPUTS.values() for name in kind.training_only)}
    shape = {name: value for name, value in init.architecture.settings().items() if name not in free}
    fixed = {"model": shape, "data": {"tokenizer": init.run.data.tokenizer}}
    for section, values in fixed.items():
        for name, value in values.items():
            asked = given.get(section, {}).get(name)
            if asked is not None and (tuple(asked) if isinstance(asked, list) else asked) != value:
                raise ConfigError(
                    f"`{name}` is {value} in the checkpoint to start from, not {asked}",
                    hint="Leave that setting out, or start without the checkpoint.",
                )
    return merge(given, fixed)


def grown(init: Checkpoint, corpus: Corpus, data: DataConfig, cache: Path) -> Tokenizer:
    """The checkpoint's tokenizer, grown by the new characters of a text where it can grow.

    Args:
        init: the checkpoint to start from.
        corpus: the new text.
        data: how it is read.
        cache: where encoded texts are kept.
    """
    tokenizer = init.load_tokenizer()
    if not isinstance(tokenizer, CharTokenizer):
        return tokenizer
    fitted = fit_tokenizer(corpus, data, cache)
    assert isinstance(fitted, CharTokenizer)
    return tokenizer.grown(fitted.alphabet, unknown=fitted.unknown_id is not None)


def fitted_weights(init: Checkpoint, run: RunConfig, tokenizer: Tokenizer) -> dict[str, NDArray[np.float32]]:
    """The checkpoint's weights, with rows for the characters it did not know.

    Known characters keep their rows wherever their id has moved to. A new one begins as the average character, a little
    less likely than any other.

    Args:
        init: the checkpoint to start from.
        run: the settings of the new run.
        tokenizer: of the new run.
    """
    tensors = {name: np.asarray(tensor, np.float32) for name, tensor in init.tensors.items()}
    old = init.load_tokenizer()
    if not (isinstance(old, CharTokenizer) and isinstance(tokenizer, CharTokenizer)):
        return tensors
    known = tokenizer.ids_in(old)
    mask = tensors["embedding.weight"][old.vocab_size :]  # of a bidirectional network
    for name in ("embedding.weight", "head.weight", "head.bias"):
        tensor = tensors[name][: old.vocab_size]
        new = tensor.min(0) - 1 if name == "head.bias" else tensor.mean(0)
        tensors[name] = np.repeat(new[None], run.model.vocab_size, 0)
        tensors[name][known >= 0] = tensor[known[known >= 0]]
    tensors["embedding.weight"] = np.concatenate((tensors["embedding.weight"], mask))
    for side_input, side in init.architecture.enabled.items():
        name = side_input_tensor(side_input)
        tensors[name] = side.grown(tensors[name], known, old.vocab_size)
    return tensors
