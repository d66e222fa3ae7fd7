"""Models of the whole Hub's shape, any number of them, from a seed: as rows over HTTP, as rows in Python, as arrays."""

from samplehub.generator.forest import VERSION, Forest, edges
from samplehub.generator.rows import Generated, rows

__all__ = ["VERSION", "Forest", "Generated", "edges", "rows"]
