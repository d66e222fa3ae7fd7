"""Whether models can be merged, what stands in the way, and how it is done."""
