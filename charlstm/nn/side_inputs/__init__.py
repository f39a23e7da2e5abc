"""Side inputs: what is added to a token's embedding. Each is one file and one line of this table."""

from charlstm.nn.side_inputs.base import SideInput
from charlstm.nn.side_inputs.match import MatchMemory
from charlstm.nn.side_inputs.ngram_embedding import NgramEmbedding

SIDE_INPUTS: dict[str, type[SideInput]] = {kind.name: kind for kind in (NgramEmbedding, MatchMemory)}
"""By name, in the order in which a checkpoint lists them."""
