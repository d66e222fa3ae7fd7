"""What was a model trained on, read from its weights: one expert for each tree of models."""
