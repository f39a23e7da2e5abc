"""The library, as ``import charlstm`` gives it: load a model, let it write, score a text, train."""
