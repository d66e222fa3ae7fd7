"""What is learned depends on what is stored, never on the order in which it came; running twice changes nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubapp.lineage import services
from hubapp.lineage.models import Dirty, Placement
from tests.factories import family_rows, row
from tests.lineage.trees import check_nodes, learned, put, settle
from tests.lineage.undoing import undone
from workers.steps import lineage as job

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

NAMES = [f"a/m{i}" for i in range(7)] + ["gpt2", "b/Base"]
SPELLINGS = [*NAMES, "A/M1", "a/M2", "b/base", "B/BASE", "lost/One", "Lost/one", "lost/two", "m3", "./out/m", "none"]
RELATIONS = ["finetune", "adapter", "quantized", "merge"]


@st.composite
def hubs(draw: st.DrawFn) -> list[dict]:
    """A few models that name each other, wrongly spelt or not, themselves or nobody; cycles included."""
    rows = []
    for i, name in enumerate(NAMES):
        resolved = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
        declared = draw(st.lists(st.sampled_from(SPELLINGS), max_size=3))
        rows.append(
            row(
                name,
                *resolved,
                relation=draw(st.sampled_from(RELATIONS)),
                created=f"2024-0{draw(st.integers(1, 4))}-01T00:00:00.000Z",
                downloads=i * 100,
                card={"base_model": resolved + declared},
                tags=draw(st.sampled_from([[], ["merge"], ["gguf"]])),
            )
        )
    return rows


@given(hub=hubs(), order=st.randoms(use_true_random=False), page=st.integers(1, 9), between=st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_any_pages_any_times_of_the_job_give_the_same(
    hub: list[dict], order: random.Random, page: int, between: bool
) -> None:
    results = []
    for shuffled in (False, True):
        with undone():
            rows = list(hub)
            if shuffled:
                order.shuffle(rows)
                for at in range(0, len(rows), page):
                    put(rows[at : at + page])
                    if between:
                        settle()
            else:
                put(rows)
            settle()
            check_nodes()
            results.append(learned())
    assert results[0] == results[1]


@given(hub=hubs(), changes=st.lists(st.tuples(st.integers(0, 8), hubs()), min_size=1, max_size=4))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changes_placed_one_by_one_end_where_a_whole_pass_ends(hub: list[dict], changes: list) -> None:
    """Models that change their parents: the incremental way and the pass over everything agree."""
    with undone():
        put(hub)
        settle()
        for at, other in changes:
            put([other[at]])
            settle()
            check_nodes()
        step_by_step = learned()
        services.want_whole()
        settle()
        assert learned() == step_by_step
        for name in NAMES:
            services.mark_named(names=[name])
        settle()
        assert learned() == step_by_step


def test_a_whole_pass_is_the_same_as_many_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = family_rows()
    put(rows)
    monkeypatch.setattr(job, "_whole_is_cheaper", lambda dirty: False)
    monkeypatch.setattr(job, "JUDGE_BATCH", 3)
    monkeypatch.setattr(job, "PLACE_BATCH", 2)
    settle()
    check_nodes()
    small = learned()
    services.want_whole()
    settle()
    assert learned() == small
    assert not Placement.objects.get().whole_wanted


def test_the_same_rows_again_mark_nothing_dirty() -> None:
    put(family_rows())
    settle()
    before = learned()
    put(family_rows())
    assert not Dirty.objects.exists()
    settle()
    assert learned() == before
