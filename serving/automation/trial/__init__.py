"""Tries runbooks on fakes: what their tests say must come of them is what the executor makes of them."""
