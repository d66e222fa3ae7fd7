"""A hub of our own making: it speaks the Hub's HTTP API on loopback, for demo, tests and benches.

``with samplehub.serve("generated:1000") as hub: HfApi(endpoint=hub.url)…``; see docs/samplehub.md.
"""

from samplehub.catalogue import Catalogue
from samplehub.faults import Fault
from samplehub.running import Options, Running, serve

__all__ = ["Catalogue", "Fault", "Options", "Running", "serve"]
