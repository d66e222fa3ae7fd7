"""Pictures, charts and strips: the geometry holds whatever a family looks like."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from hubapp.lineage.shapes import Brief, Line, Link
from hubapp.web import charts
from hubapp.web.pictures import DRAWN, MARGIN, phylogeny
from hubapp.web.strips import STOPS, strip
from workers.lineage.records import Relation

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


@st.composite
def families(draw):
    """A tree of up to 150 repos as lineage answers with it: dates may be missing, equal, or before the parent's."""
    size = draw(st.integers(1, 150))
    dice = random.Random(draw(st.integers(0, 2**32)))  # drawing each figure by itself takes seconds
    reach = draw(st.integers(1, 150))  # 1: a chain; large: any earlier repo may be the parent
    parents = [None] + [dice.randrange(max(0, i - reach), i) for i in range(1, size)]
    days = [None if dice.random() < 0.1 else dice.randrange(900) for _ in range(size)]
    descendants = [0] * size
    for child in range(size - 1, 0, -1):
        descendants[parents[child]] += descendants[child] + 1
    nodes = tuple(
        Brief(
            id=i + 1,
            name=f"a/m{i}",
            state="listed",
            created_at=None if days[i] is None else BEGIN + timedelta(days=days[i]),
            parent_id=None if parents[i] is None else parents[i] + 1,
            root_id=1,
            descendants=descendants[i],
            rank=i,
        )
        for i in range(size)
    )
    links = tuple(
        Link(parent_id=parents[i] + 1, child_id=i + 1, relation=dice.choice(list(Relation)), primary=True)
        for i in range(1, size)
    )
    return nodes, links


@settings(deadline=None, max_examples=50)
@given(families())
def test_a_picture_shows_every_chosen_repo_inside_its_frame(family):
    nodes, links = family
    picture = phylogeny(1, nodes, links, width=300, height=150)
    assert len(picture.marks) == min(len(nodes), DRAWN)
    assert picture.marks[0].relation == "root"
    for mark in picture.marks:
        assert MARGIN - 0.01 <= mark.x <= 300 - MARGIN + 0.01
        assert MARGIN - 0.01 <= mark.y <= 150 - MARGIN + 0.01
    assert sum(limb.path.count("M") for limb in picture.limbs) == len(picture.marks) - 1


@settings(deadline=None, max_examples=50)
@given(families())
def test_children_stand_right_of_their_parents(family):
    nodes, links = family
    picture = phylogeny(1, nodes, links, width=300, height=150)
    for limb in picture.limbs:
        for curve in limb.path.split("M")[1:]:
            numbers = [float(part) for part in curve.replace("C", " ").split()]
            assert numbers[0] <= numbers[-2]


def test_growth_fills_the_months_between():
    growth = charts.growth([("2024-01", 3), ("2024-04", 2)], before=1)
    assert growth.rows == (("2024-01", 3, 4), ("2024-02", 0, 4), ("2024-03", 0, 4), ("2024-04", 2, 6))
    assert growth.line.startswith("M0.00 ")
    assert growth.months[-1].at == 100


def test_growth_within_one_month_is_no_curve():
    assert charts.growth([("2024-01", 30)]) is None


@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 10**9)), max_size=20))
def test_bars_never_leave_their_cell(rows):
    for bar in charts.bars(rows):
        assert 0 <= bar.length <= 100


def _line(length: int, **more) -> Line:
    members = tuple(
        Brief(id=i + 1, name=f"a/m{i}", state="listed", depth=i + more.get("missing", 0) * (i > 0))
        for i in range(length)
    )
    links = tuple(Link(i, i + 1, Relation.MERGE) for i in range(1, length))
    return Line(members, links, truncated="missing" in more)


def test_a_short_line_is_shown_whole():
    stops = strip(_line(4))
    assert [stop.depth for stop in stops] == [0, 1, 2, 3]
    assert [stop.relation for stop in stops] == ["root", "merge", "merge", "merge"]
    assert stops[-1].last
    assert [bool(stop.onward) for stop in stops] == [True, True, True, False]


def test_the_middle_of_a_long_line_is_folded_and_counted():
    stops = strip(_line(16))
    assert len(stops) == STOPS
    assert stops[1].folded == 16 - STOPS + 1
    assert [stop.depth for stop in stops[2:]] == [12, 13, 14, 15]
    assert len(strip(_line(16), whole=True)) == 16


def test_what_a_truncated_line_lacks_is_counted_too():
    stops = strip(_line(5, missing=300), whole=True)
    assert stops[1].folded == 300
    assert stops[-1].depth == 304
