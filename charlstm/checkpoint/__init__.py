"""Checkpoints: one self-describing file a trained network, and the folder of runs they lie in. Row 1: no torch here.

::

    atomic      whole files or none: temporary file, fsync, rename
    container   safetensors: header, tensors, SHA-256 over every byte
    format      what is inside: weights, settings, tokenizer, where it all came from
    names       what a run may be called
    run         one run's folder
    store       the folder of runs: names, numbers, locks, removal
    copying     a copy to keep or to share
    summary     what lists and comparisons show
"""
