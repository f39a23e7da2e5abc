"""Side inputs: embeddings added to that of the token. Each is one file and one row of this table."""

from charlstm.nn.side_inputs.base import SideInput
from charlstm.nn.side_inputs.match import MatchMemory
from charlstm.nn.side_inputs.ngram_embedding import NgramEmbedding

SIDE_INPUTS: dict[str, type[SideInput]] = {kind.name: kind for kind in (NgramEmbedding, MatchMemory)}
"""Each class by its name, in the order in which a checkpoint lists them."""
