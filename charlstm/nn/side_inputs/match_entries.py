"""What followed the last time: an entry for each n-gram of the text that is being read, hashed.

With x_t the number of the token read at step t, counted from 1, h_n(t) the hash of the n-gram that ends at it
(`charlstm.nn.side_inputs.hashing`), and M_n a memory of R entries, all empty before any text::

    M_n[h_n(t-1) mod R] = (tag of h_n(t-1), x_t)      what followed the n tokens before
    f_n(t) = the number in M_n[h_n(t) mod R] if its tag is that of h_n(t), else 0

f_n(t) is the token that followed when the last n tokens were last read in this text; 0 if that is unknown. A new n-gram
takes the place of an old one, so a memory reaches about R tokens back. Its weights need not know a name for a network
to finish it: it only has to have read it once.

Source: the match model of data compressors, Mahoney 2005, "Adaptive weighing of context models for lossless data
compression"; in language models Akyürek et al. 2024, "In-context language learning: architectures and algorithms".
"""

from __future__ import annotations

from typing import Any

_NUMBER = 21  # bits of a token's number: every code point fits
_TAG = 10  # bits of a tag: with a number in 31


def place_of(hashed: Any, rows: int) -> Any:
    """The place of an n-gram's entry; of a whole number, or of an array or tensor of 64-bit ones."""
    return hashed % rows


def entry_of(hashed: Any, number: Any, rows: int) -> Any:
    """The entry that says what followed an n-gram, 31 bits."""
    return (_tag(hashed, rows) << _NUMBER) + number


def number_in(entry: Any, hashed: Any, rows: int) -> Any:
    """The number in an entry, 0 if it is that of another n-gram."""
    return (entry & ((1 << _NUMBER) - 1)) * (entry >> _NUMBER == _tag(hashed, rows))


def _tag(hashed: Any, rows: int) -> Any:
    return hashed // rows & ((1 << _TAG) - 1)
