"""Drawing text from any network: prompts, filters, the draw, stop rules, writing together."""
