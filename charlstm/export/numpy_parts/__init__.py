"""What an exported NumPy program is made of: real modules, from which each program gets what its network needs.

`specialise` pastes them in this order. An ``if`` whose test names only `settings` is decided then, and of the rest only
what is still called is kept. Here the settings are those of a small example.

::

    settings     the numbers of a network
    pieces       lines cut into pieces of words
    tokens       text ↔ token ids
    arrays       the weights, σ and softmax
    cells        one step of a recurrent layer
    attention    a weighted mean of past values
    ngrams       embeddings of the last few tokens together
    matches      what last followed the same tokens
    network      one step of the whole network
    sampling     from logits to a token
    writing      a text, token by token
    filling      blanks, by a network that reads both sides
    command      the command line
"""
