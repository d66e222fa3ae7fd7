"""Grows the hub's own collection: trains and derives small real models from seeds (needs torch; serving does not)."""
