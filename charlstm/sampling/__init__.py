"""One sampler for every network: filters, a draw, stop rules, text."""
