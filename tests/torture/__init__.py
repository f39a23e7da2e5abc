"""What the package promises when things go wrong: each module attacks one promise, at a size that fits into CI.

``make torture`` runs the full sizes. A test that counts its rounds says how many in its mark,
``rounds(30, full=1000)``.
"""
