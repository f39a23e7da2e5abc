"""Checkpoints: one self-describing file per trained network, and the folder of runs. No module here imports torch.

::

    container   safetensors: header, tensors, SHA-256 over every byte
    format      the content: weights, settings, tokenizer, provenance
    names       which names a run may have
    run         one run's folder
    store       the folder of runs: creating, numbering, locking, removing
    references  from a name, folder or file to a model
    prune       which runs to remove
    copying     a copy to keep or to share
    summary     what lists and comparisons show
"""
