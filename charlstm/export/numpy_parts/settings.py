"""Settings."""

TOKENIZER = "char"
ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"
"""the place of a character is its id"""
UNKNOWN_ID: int | None = None
"""the id of all other characters, which is never drawn"""
PIECES: dict[str, tuple[int, float]] = {}
"""of each piece of text its id, and a score"""
LONGEST_PIECE = 1
"""in characters"""
UNKNOWN_SCORE = 0.0
"""of a character that is no piece"""
BYTE_IDS: tuple[int, ...] = ()
"""the ids of single bytes"""
VOCAB_SIZE = 28
"""different tokens"""

CELL = "lstm"
TENSORS = ("weight_ih", "weight_hh", "bias")
"""of each layer"""
PARTS = 2
"""of the state of a layer: h, or h and c"""
HIDDEN_SIZE = 8
LAYERS = 2
MEMBERS = 1
STACKS = ("layers",)
"""the layers of each member of the ensemble"""
SKIP_CONNECTIONS = False
BOTH_SIDES = False
ATTENTION_WINDOW = 0
"""steps that attention reaches back, its own included"""
HISTORY = 0
"""recent tokens that are remembered as they are"""
NGRAM_ORDER = 0
"""tokens of the longest n-gram that has an embedding"""
NGRAM_BUCKETS = 1
"""embeddings that all n-grams share"""
MATCH_ORDERS: tuple[int, ...] = ()
"""equal tokens that make a match"""
MATCH_SLOTS = 1
"""places of the match memory, for each of them"""

LENGTH = 500
"""tokens of a text, at most"""
COUNT = 1
"""texts"""
TEMPERATURE = 1.0
"""low is careful, high is wild; 0 always takes the likeliest"""
TOP_P = 1.0
"""only the fewest likeliest tokens that add up to this; 1 is off"""
MIN_P = 0.0
"""only tokens at least this many times as likely as the likeliest; 0 is off"""
NO_REPEAT = 0
"""tokens of a passage that may be said again; 0 is off"""
LONGEST_RUN = 0
"""equal tokens in a row, at most; 0 is off"""
STARTS: tuple[str, ...] = ()
"""ends of passages of the training text: without a prompt a text begins after one of them"""
BEGIN = (0,)
"""the ids before a text, from which its first token is predicted"""
RECORD = ""
"""what ends each of the texts that the network has read"""
NEVER: tuple[int, ...] = ()
"""ids that never stand in a blank"""
WORD_ENDS: tuple[int, ...] = ()
"""ids that end a word: blanks and punctuation"""
REACH = 64
"""tokens that the network was trained to see to either side"""

INT8 = False
BESIDE = False
WEIGHTS = ""
