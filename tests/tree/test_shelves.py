"""A parent's children by pages: nothing twice, nothing lost, nothing unbounded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubapp.catalog.models import Repo
from hubapp.lineage import shelves
from hubapp.lineage.models import Edge, Finding
from hubapp.lineage.shapes import Filters
from tests.tree import families
from workers.lineage.records import Relation

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db]

FILTERS = st.builds(
    Filters,
    author=st.sampled_from(["", "TheBloke", "thebloke", "nobody"]),
    task=st.sampled_from(["", "text-classification", "no-such-task"]),
    licence=st.sampled_from(["", "mit"]),
    created_to=st.sampled_from([None, families.START + timedelta(days=2)]),
    created_from=st.sampled_from([None, families.START + timedelta(days=1)]),
    min_parameters=st.sampled_from([None, 10**9]),
    below_parameters=st.sampled_from([None, 10**9]),
    parameters_known=st.sampled_from([None, True, False]),
    with_findings=st.booleans(),
    text=st.sampled_from(["", "gguf-1", "GGUF"]),
)


def walk(parent: int, relation: Relation, **asked: Any) -> list[int]:
    """All pages, one after the other."""
    found: list[int] = []
    after = None
    for _ in range(2000):
        shelf = shelves.page(parent, relation, after=after, **asked)
        found += shelf.child_ids
        assert shelf.looked >= len(shelf.child_ids)
        if shelf.done:
            return found
        assert after is None or shelf.after > after, "a cursor that stands still never ends"
        after = shelf.after
    raise AssertionError("the shelf does not end")


def expected(parent: int, relation: Relation, filters: Filters, author: str = "") -> list[int]:
    """The same, by looking at every child in Python."""
    known = set(Finding.objects.values_list("repo_id", flat=True))

    def passes(repo: Repo) -> bool:
        created: datetime | None = repo.created_at
        size = repo.parameters
        return all(
            (
                not author or repo.author == author,
                not filters.author or repo.author.lower() == filters.author.lower(),
                not filters.task or (repo.task is not None and repo.task.value == filters.task),
                not filters.licence or (repo.licence is not None and repo.licence.value == filters.licence),
                filters.created_to is None or created is None or created < filters.created_to,
                filters.created_from is None or created is None or created >= filters.created_from,
                filters.min_parameters is None or (size is not None and size >= filters.min_parameters),
                filters.below_parameters is None or (size is not None and size < filters.below_parameters),
                filters.parameters_known is None or (size is not None) == filters.parameters_known,
                not filters.with_findings or repo.pk in known,
                filters.text.lower() in repo.folded,
            )
        )

    edges = Edge.objects.filter(parent_id=parent, relation=relation).order_by("rank")
    return [e.child_id for e in edges.select_related("child__task", "child__licence") if passes(e.child)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    filters=FILTERS,
    limit=st.integers(1, 40),
    relation=st.sampled_from([Relation.ADAPTER, Relation.QUANTIZED]),
    stretches=st.sampled_from([shelves.STRETCHES, (2,), (7, 20), (60,)]),
    author=st.sampled_from(["", "TheBloke"]),
)
def test_pages_hold_every_child_that_passes_once_and_in_order(
    star: int, filters: Filters, limit: int, relation: Relation, stretches: tuple[int, ...], author: str
) -> None:
    found = walk(star, relation, limit=limit, filters=filters, stretches=stretches, author=author)
    assert found == expected(star, relation, filters, author)


def test_a_rare_filter_looks_at_a_bounded_number_of_children(star: int) -> None:
    shelf = shelves.page(star, Relation.ADAPTER, filters=Filters(author="nobody"), stretches=(10, 40))
    assert not shelf.done
    assert shelf.looked == 50
    assert shelf.child_ids == ()


def test_a_page_without_filters_is_one_read(star: int) -> None:
    with CaptureQueriesContext(connection) as queries:
        shelves.page(star, Relation.FINETUNE, limit=2)
    assert len(queries) == 1


def test_authors_are_counted_among_the_most_popular(star: int) -> None:
    names, sampled = shelves.authors(star, Relation.QUANTIZED)
    assert sampled == 30
    assert {name for name, _ in names[:3]} == {"mradermacher", "bartowski", "TheBloke"}
    assert [number for _, number in names] == sorted((number for _, number in names), reverse=True)
