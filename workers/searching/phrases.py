"""Ways to say a thing: pure text."""

from __future__ import annotations

TEMPLATES = ("a photo of a {}", "{}")


def phrasings(words: str) -> list[str]:
    """Ways to say what was asked for; the mean of their points depends less on the words than each does."""
    return [template.format(words) for template in TEMPLATES]
