"""A search as a value: what URLs it is read from and written to."""

from __future__ import annotations

import string
from dataclasses import fields
from datetime import date
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubapp.searching.orders import Mark, read_mark, stretches
from hubapp.searching.query import FILTERS, GATED, LIMIT_MAX, STATES, Query, Sort
from workers.errors import BadRequest
from workers.lineage.records import Relation

TEXT = st.text(max_size=60).map(lambda text: text.replace("\0", "").strip()).filter(lambda text: text.isprintable())
COUNT = st.none() | st.integers(0, 2**62)
DAY = st.none() | st.dates(date(2020, 1, 1), date(2030, 1, 1))
QUERIES = st.builds(
    Query,
    text=TEXT,
    relation=st.none() | st.sampled_from(Relation),
    task=TEXT,
    licence=TEXT,
    dataset=TEXT,
    author=TEXT,
    min_parameters=COUNT,
    max_parameters=COUNT,
    created_after=DAY,
    created_before=DAY,
    no_parent=st.booleans(),
    has_findings=st.booleans(),
    gated=st.sampled_from(("", *GATED)),
    state=st.sampled_from(("", *STATES)),
    sort=st.sampled_from(Sort),
    literal=st.booleans(),
    limit=st.integers(1, LIMIT_MAX),
)


@given(QUERIES)
def test_a_query_survives_its_url(query: Query) -> None:
    url = query.to_string()
    assert Query.from_params(dict(parse_qsl(url))) == query
    assert Query.from_params(dict(reversed(parse_qsl(url)))).to_string() == url  # one order, whatever it was


@given(
    st.dictionaries(
        st.sampled_from(["q", "min", "since", "sort", "limit", "relation", "no_parent"]), st.text(max_size=30)
    )
)
def test_whatever_a_url_holds_it_is_read_or_told(params: dict[str, str]) -> None:
    query, problems = Query.read(params)
    assert all(isinstance(problem, str) for problem in problems)
    Query.from_params(query.to_params())


def test_defaults_leave_the_url_empty() -> None:
    assert Query().to_params() == {}
    assert Query.from_params({}) == Query()
    assert Query.from_params({"q": " ", "task": "", "page": "7", "min": ""}) == Query()


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("7b", 7_000_000_000),
        ("1.5B", 1_500_000_000),
        ("125m", 125_000_000),
        ("80k", 80_000),
        ("12", 12),
        ("1 t", 10**12),
    ],
)
def test_counts_of_parameters_are_written_as_people_do(written: str, count: int) -> None:
    assert Query.from_params({"min": written}).min_parameters == count


@pytest.mark.parametrize(
    "params",
    [{"min": "many"}, {"since": "01/02/2024"}, {"relation": "cousin"}, {"limit": "0"}, {"limit": "101"}, {"limit": "²"},
     {"sort": "colour"}, {"max": "9e99"}, {"max": "99999999t"}, {"no_parent": "perhaps"}],
)  # fmt: skip
def test_what_can_not_be_read_is_named(params: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match=next(iter(params))):
        Query.from_params(params)
    assert Query.read(params)[0] == Query()


def test_another_search_begins_at_its_first_page() -> None:
    assert Query(text="a", after="xyz").but(text="b") == Query(text="b")
    assert set(FILTERS) < {field.name for field in fields(Query)}
    assert Query(text="a", sort=Sort.NAME, task="x", no_parent=True).filters == {"task": "x", "no_parent": True}


@given(st.text(string.printable, max_size=80))
def test_a_mark_that_is_none_of_ours_is_refused(text: str) -> None:
    for sort in Sort:
        try:
            read_mark(text, sort)
        except BadRequest:
            continue
        assert text == ""


@given(st.sampled_from(Sort), st.integers(0, 2**62), st.integers(0, 2**40))
def test_marks_survive_their_url(sort: Sort, key: int, number: int) -> None:
    for at, stretch in enumerate(stretches(sort)):
        value = {"": None, "folded": "org/x"}.get(stretch.value, number)
        mark = Mark(at, value, key)
        assert read_mark(mark.write(sort), sort) == mark
