"""The network: `cells` one readable step each, `recurrence` whole windows fast, `model` the whole of it."""
