"""What is known of a network when its NumPy program is written: the values of `numpy_parts.settings`."""

from __future__ import annotations

from typing import Any

from charlstm.checkpoint.format import Checkpoint
from charlstm.filling.search import never_in_blanks, word_end_ids
from charlstm.nn.shapes import CELLS
from charlstm.sampling.prompts import bos_ids
from charlstm.schemas import to_plain
from charlstm.tokenizers import CharTokenizer, Tokenizer

_LENGTH = 500  # tokens of a text
_RECORDS = 10  # texts that a network writes which has read a list
_UNKNOWN_PENALTY = 10.0  # SentencePiece's own


def known(checkpoint: Checkpoint) -> dict[str, Any]:
    """The values of all settings but those about how weights are stored.

    Args:
        checkpoint: the network.

    Returns:
        The values by name.
    """
    architecture, writing = checkpoint.architecture, checkpoint.writing
    tokenizer, cell = checkpoint.load_tokenizer(), CELLS[checkpoint.architecture.cell]
    sides = {name: value for side in architecture.enabled.values() for name, value in to_plain(side).items()}
    return {
        **_tokens(tokenizer, checkpoint.run.data.tokenizer),
        "CELL": architecture.cell,
        "TENSORS": cell.tensors,
        "PARTS": len(cell.states),
        "HIDDEN_SIZE": architecture.hidden_size,
        "LAYERS": architecture.num_layers,
        "MEMBERS": architecture.ensemble,
        "STACKS": architecture.stacks,
        "SKIP_CONNECTIONS": architecture.skip_connections,
        "BOTH_SIDES": architecture.bidirectional,
        "ATTENTION_WINDOW": architecture.attention_window,
        "HISTORY": architecture.history,
        "NGRAM_ORDER": sides.get("ngram_order", 0),
        "NGRAM_BUCKETS": sides.get("ngram_buckets", 1),
        "MATCH_ORDERS": sides.get("match_orders", ()),
        "MATCH_SLOTS": sides.get("match_slots", 1),
        "LENGTH": 2 * writing.longest_record or _LENGTH,
        "COUNT": _RECORDS if writing.record else 1,
        "TEMPERATURE": writing.temperature,
        "TOP_P": writing.top_p,
        "MIN_P": writing.min_p,
        "NO_REPEAT": writing.no_repeat,
        "LONGEST_RUN": writing.longest_run,
        "STARTS": () if writing.record else writing.starts,
        "BEGIN": tuple(bos_ids(tokenizer)),
        "RECORD": writing.record,
        "NEVER": tuple(never_in_blanks(tokenizer)) if architecture.bidirectional else (),
        "WORD_ENDS": tuple(word_end_ids(tokenizer)),
        "REACH": checkpoint.run.data.seq_len,
    }


def _tokens(tokenizer: Tokenizer, kind: str) -> dict[str, Any]:
    """The values about text and ids; ``kind`` is what the run calls its tokenizer."""
    values: dict[str, Any] = {
        "TOKENIZER": kind,
        "ALPHABET": "".join(tokenizer.alphabet) if isinstance(tokenizer, CharTokenizer) else "",
        "UNKNOWN_ID": tokenizer.unknown_id,
        "VOCAB_SIZE": tokenizer.vocab_size,
        "PIECES": {},
        "LONGEST_PIECE": 1,
        "UNKNOWN_SCORE": 0.0,
        "BYTE_IDS": (),
    }
    if kind not in ("unigram", "bpe"):
        return values
    from charlstm.tokenizers.sentencepiece import FIXED, SentencePieceTokenizer

    assert isinstance(tokenizer, SentencePieceTokenizer)
    pieces = tokenizer.scored_pieces()
    scores = [score for _, score in pieces.values()]
    fixed = {text: (int(tokenizer.encode(text)[0]), 0.0) for text in FIXED}  # they are in no other piece
    return values | {
        "PIECES": fixed | pieces,
        "LONGEST_PIECE": max(map(len, pieces)),
        "UNKNOWN_SCORE": min(scores) - _UNKNOWN_PENALTY,
        "BYTE_IDS": tokenizer.byte_ids,
    }
