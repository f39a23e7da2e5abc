"""The network: `cells` defines one step of each cell, `recurrence` runs whole windows fast, `model` assembles them.

Letters in the docstrings of the whole project; the "Letters:" line of a file adds what is special to it::

    B   batch: texts side by side            H   hidden units of a layer
    T   time: tokens of a window             E   embedding features
    V   vocabulary: number of tokens         D   input features of a layer
    N   order of an n-gram; length of the token history of the side inputs
    K   table rows per token of a side input; members of an ensemble

A shape in parentheses names its axes in order: (B, T, V).
"""
