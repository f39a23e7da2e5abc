"""Corpora: from files, pipes and names to text, and from text to ids on disk. No torch here.

::

    sources        what a user types → parts        (catalogue, fetch, local, synthetic: where parts come from)
    read           parts → text, in chunks          (encodings, decode: bytes → text)
    encode         text → memory-mapped ids         (scan, count, fit_tokenizer, ids_cache, cache_cleanup)
    text_size      ids → their characters and bytes
    stats          a text in numbers
    check          problems of a text, in words     (repeats: passages that occur twice)
    describe       the corpora that have names

Memory never grows with the text.
"""
