"""Fine-tuning: starts from a trained network, keeps its architecture, and may extend its alphabet."""

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
from charlstm.nn.shapes import side_input_tensor, tensor_shapes
from charlstm.tokenizers import CharTokenizer, Tokenizer
from charlstm.training.plan.merge import Given, merge
from charlstm.training.plan.start import CHANGEABLE


def inherit_settings(init: Checkpoint, given: Given) -> dict[str, dict[str, Any]]:
    """Add a checkpoint's architecture and kind of tokenizer to explicit settings.

    Args:
        init: the checkpoint to start from.
        given: explicit settings, by section.

    Returns:
        The merged settings, by section.

    Raises:
        ConfigError: an explicit setting contradicts the checkpoint.
    """
    asked_for = given.get("model", {})
    # A side input that the checkpoint lacks can be added: its table begins as zeros, and so without effect.
    disabled = [side for side in init.architecture.side_inputs.values() if not side.enabled]
    added = {name for side in disabled for name in side.__struct_fields__ if asked_for.get(name) is not None}
    changeable = CHANGEABLE | added
    inherited = {name: value for name, value in init.architecture.settings().items() if name not in changeable}
    fixed = {"model": inherited, "data": {"tokenizer": init.run.data.tokenizer}}
    for section, values in fixed.items():
        for name, value in values.items():
            asked = given.get(section, {}).get(name)
            if asked is not None and (tuple(asked) if isinstance(asked, list) else asked) != value:
                raise ConfigError(
                    f"`{name}` is {value} in the checkpoint to start from, not {asked}",
                    hint="Leave that setting out, or start without the checkpoint.",
                )
    return merge(given, fixed)


def extend_tokenizer(init: Checkpoint, corpus: Corpus, data: DataConfig, cache: Path) -> Tokenizer:
    """Return the checkpoint's tokenizer; one of characters is extended by the new characters of a text.

    Args:
        init: the checkpoint to start from.
        corpus: the new text.
        data: the data settings.
        cache: the folder of the cache of encoded texts.

    Returns:
        The tokenizer.
    """
    tokenizer = init.load_tokenizer()
    if not isinstance(tokenizer, CharTokenizer):
        return tokenizer
    fitted = fit_tokenizer(corpus, data, cache)
    assert isinstance(fitted, CharTokenizer)
    return tokenizer.grown(fitted.alphabet, unknown=fitted.unknown_id is not None)


def new_tokens(init: Checkpoint, tokenizer: Tokenizer) -> NDArray[np.intp]:
    """Return the ids of the tokens that a checkpoint does not know: characters, since no other tokenizer can grow.

    Args:
        init: the checkpoint to start from.
        tokenizer: the tokenizer of the new run.
    """
    old = init.load_tokenizer()
    if not (isinstance(old, CharTokenizer) and isinstance(tokenizer, CharTokenizer)):
        return np.empty(0, np.intp)
    return np.flatnonzero(tokenizer.ids_in(old) < 0)


def initial_weights(init: Checkpoint, run: RunConfig, tokenizer: Tokenizer) -> dict[str, NDArray[np.float32]]:
    """Return the checkpoint's weights, with rows for new characters.

    Known characters keep their rows, even if their id has changed. A new character starts with the mean of all rows,
    and with an output bias one below the lowest. The table of a side input that the checkpoint lacks starts as zeros.

    Args:
        init: the checkpoint to start from.
        run: the settings of the new run.
        tokenizer: the tokenizer of the new run.

    Returns:
        Weights by their names in a checkpoint.
    """
    tensors = {name: np.asarray(tensor, np.float32) for name, tensor in init.tensors.items()}
    for name, shape in tensor_shapes(run.model):
        if name not in tensors:
            tensors[name] = np.zeros(shape, np.float32)  # of a side input that was added
    old = init.load_tokenizer()
    if not (isinstance(old, CharTokenizer) and isinstance(tokenizer, CharTokenizer)):
        return tensors
    old_ids = tokenizer.ids_in(old)  # -1 for a new character
    mask = tensors["embedding.weight"][old.vocab_size :]  # of a bidirectional network
    for name in ("embedding.weight", "head.weight", "head.bias"):
        tensor = tensors[name][: old.vocab_size]
        new = tensor.min(0) - 1 if name == "head.bias" else tensor.mean(0)
        tensors[name] = np.repeat(new[None], run.model.vocab_size, 0)
        tensors[name][old_ids >= 0] = tensor[old_ids[old_ids >= 0]]
    tensors["embedding.weight"] = np.concatenate((tensors["embedding.weight"], mask))
    for side_input, side in init.architecture.enabled.items():
        name = side_input_tensor(side_input)
        tensors[name] = side.remap_table(tensors[name], old_ids, old.vocab_size)
    return tensors
