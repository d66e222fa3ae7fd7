"""What models were trained on, read from their weights: the experts and what they say."""
