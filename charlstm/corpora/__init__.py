"""Corpora: from files, pipes and names to text, and from text to ids on the disk. Row 1 of the house: no torch here.

::

    sources     what a person types → parts          (catalogue, fetch, virtual, synthetic: where parts come from)
    read        parts → text, in chunks              (encodings, decode: bytes → text)
    encode      text → memory-mapped ids, cached     (passes, count, fit, store)
    extent      ids → how much text they stand for
    stats       what is in a text, in numbers
    check       what may be wrong with it, in words  (repeats: passages that stand in it twice)

Memory never grows with the text.
"""
