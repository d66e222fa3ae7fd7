"""Families that the tree's tests look at."""

from __future__ import annotations

import pytest

from tests.tree import families


@pytest.fixture
def grove(db: None) -> dict[str, int]:
    """Every family of ``families``, the star with 600 children; ids by name."""
    collected = families.Grove()
    families.chain(collected)
    families.merge(collected)
    families.dirty(collected)
    families.hostile(collected)
    families.star(collected, 600)
    return collected.plant()


@pytest.fixture
def star(db: None) -> int:
    """The id of a parent of 150 children, alone."""
    collected = families.Grove()
    name = families.star(collected, 150)
    return collected.plant()[name]
