"""What a text costs in bits per character by a network, so that two forms of its weights can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from charlstm.checkpoint.format import Checkpoint
from charlstm.evaluation.method import text_losses
from charlstm.evaluation.objective import objective_of
from charlstm.evaluation.score import EncodedText, Method, summarize
from charlstm.sampling.prompts import bos_ids

if TYPE_CHECKING:
    from charlstm.export.onnx_network import OnnxNetwork
    from charlstm.nn.model import CharLM


def bits_per_char(network: CharLM | OnnxNetwork, checkpoint: Checkpoint, text: str) -> float:
    """Score a text in order; a bidirectional network scores each token given all around it.

    Args:
        network: of the checkpoint, in any form.
        checkpoint: says what it predicts, and with which tokenizer.
        text: at least one character, all of them known to the tokenizer.

    Returns:
        Bits per character.

    Raises:
        CheckpointError: a loss is not finite.
    """
    tokenizer = checkpoint.load_tokenizer()
    encoded = EncodedText(tokenizer.encode(text), len(text), len(text.encode("utf-8", "surrogatepass")))
    objective, context = objective_of(checkpoint.run, tokenizer), np.array(bos_ids(tokenizer))
    losses = text_losses(objective, network, encoded.ids, context, Method())  # type: ignore[arg-type]
    return summarize(losses, encoded, Method()).bits_per_char
