"""What pages, API and commands read of descent."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubapp.lineage import queries
from hubapp.lineage.models import Edge
from hubapp.lineage.shapes import Filters
from tests.factories import family_rows, row
from tests.lineage.trees import by_name, grow, put, repo, settle
from tests.lineage.undoing import undone
from workers.errors import BadRequest
from workers.lineage import neighbourhoods
from workers.lineage.records import Relation, Source

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def family() -> None:
    grow(family_rows())


@pytest.mark.usefixtures("family")
class TestFamily:
    def test_line(self) -> None:
        line = queries.line(repo("chain/step-3"))
        assert by_name(line.members) == [
            "gpt2",
            "acme/gpt2-medical",
            "chain/step-1",
            "chain/step-2",
            "chain/step-3",
        ]
        assert [each.relation for each in line.links] == [Relation.FINETUNE] * 4
        assert not line.truncated
        short = queries.line(repo("chain/step-3"), limit=2)
        assert by_name(short.members) == ["chain/step-2", "chain/step-3"]
        assert short.truncated
        assert by_name(queries.line(repo("lone/model")).members) == ["lone/model"]

    def test_parents_with_their_evidence(self) -> None:
        parents = queries.parents(repo("mixer/gpt2-chat-medical"))
        assert by_name(parents.items) == ["acme/gpt2-chat", "acme/gpt2-medical"]
        assert [p.link.primary for p in parents.items] == [True, False]
        assert {s.source for s in parents.items[0].statements} == {Source.HUB, Source.CARD, Source.TAG}
        assert parents.loose == ()

    def test_statements_that_lead_nowhere_are_loose(self) -> None:
        parents = queries.parents(repo("dirty/local-path"))
        assert parents.items == ()
        assert [s.text for s in parents.loose] == ["./out/checkpoint-500"]
        assert [r.code for r in parents.remarks] == ["local_path"]

    def test_a_repair_stands_beside_its_parent(self) -> None:
        (parent,) = queries.parents(repo("dirty/wrong-case")).items
        assert parent.repo.name == "acme/gpt2-chat"
        assert parent.link.repaired == "case"
        assert [s.text for s in parent.statements] == ["Acme/GPT2-Chat"]
        assert {r.code for r in parent.remarks} == {"wrong_case", "dropped_by_hub"}

    def test_unresolved_parents_say_so(self) -> None:
        (parent,) = queries.parents(repo("dirty/orphan")).items
        assert (parent.repo.name, parent.repo.known, parent.link.standing) == ("lost/base-of-old", False, "unresolved")
        (remark,) = (r for r in parent.remarks if r.code == "missing_parent")
        assert "has not been looked up yet" in remark.sentence

    def test_children_in_pages(self) -> None:
        chat = repo("acme/gpt2-chat")
        counts = queries.relation_counts(chat)
        assert (counts.adapters, counts.quantized, counts.merges, counts.total) == (15, 1, 1, 19)
        seen, after = [], None
        while True:
            page = queries.children(chat, relation=Relation.ADAPTER, after=after, limit=4)
            assert page.total == 15
            seen += by_name(page.items)
            after = page.after
            if after is None:
                break
        assert len(seen) == len(set(seen)) == 15
        assert seen[0] == "acme/gpt2-chat-lora", "the most downloaded comes first"
        everything = queries.children(chat, limit=100)
        ranks = [c.repo.rank for c in everything.items]
        assert ranks == sorted(ranks)
        assert len(ranks) == everything.total == 19

    def test_filtered_children(self) -> None:
        chat = repo("acme/gpt2-chat")
        assert by_name(queries.children(chat, filters=Filters(author="press")).items) == ["press/gpt2-chat-GGUF"]
        assert by_name(queries.children(chat, filters=Filters(text="LORA")).items) == ["acme/gpt2-chat-lora"]
        assert queries.children(chat, filters=Filters(text="%")).items == ()
        merges = Filters(relations=frozenset({Relation.MERGE}))
        assert by_name(queries.children(chat, filters=merges).items) == ["mixer/gpt2-chat-medical"]
        assert by_name(queries.children(chat, filters=Filters(licence="apache-2.0")).items) == [
            "mixer/gpt2-chat-medical"
        ]

    @pytest.mark.parametrize("cursor", ["x", "-1", "1" * 30, "' OR 1=1"])
    def test_a_foreign_cursor_is_refused(self, cursor: str) -> None:
        with pytest.raises(BadRequest):
            queries.children(repo("gpt2"), after=cursor)

    def test_siblings_are_of_the_same_relation_first(self) -> None:
        names = by_name(queries.siblings(repo("many/child-03"), limit=16))
        assert "many/child-03" not in names
        assert names[0] == "acme/gpt2-chat-lora"
        assert names[14] == "mixer/gpt2-chat-medical" or "GGUF" in names[14]

    def test_common_ancestor_and_path(self) -> None:
        a, b = repo("chain/step-2"), repo("acme/gpt2-chat-lora")
        common = queries.common_ancestor(a, b)
        assert common is not None
        assert (common.ancestor.name, common.distance_a, common.distance_b) == ("gpt2", 3, 2)
        path = queries.path(a, b)
        assert path is not None
        assert by_name(path.members) == [
            "chain/step-2",
            "chain/step-1",
            "acme/gpt2-medical",
            "gpt2",
            "acme/gpt2-chat",
            "acme/gpt2-chat-lora",
        ]
        assert path.members[path.top].name == "gpt2"
        assert len(path.links) == 5
        assert queries.common_ancestor(a, a) is not None
        assert queries.path(a, repo("lone/model")) is None

    def test_neighbourhood_says_how_many_it_leaves_out(self) -> None:
        near = queries.neighbourhood(repo("acme/gpt2-chat"), up=1, down=1, per_parent=3)
        assert near.root.name == "gpt2"
        (group,) = (g for g in near.groups if g.relation == Relation.ADAPTER and g.total == 15)
        assert group.shown == 3
        assert dict(group.authors) == {"many": 14, "acme": 1}
        rest = queries.children(group.parent_id, relation=group.relation, after=group.after, limit=100)
        shown = {link.child_id for link in near.links if link.relation == Relation.ADAPTER}
        assert len(rest.items) == 12
        assert not shown & {c.repo.id for c in rest.items}

    def test_family_and_largest_families(self) -> None:
        gpt2 = repo("gpt2")
        family = queries.family(gpt2)
        assert family is not None
        assert family.size == queries.briefs([gpt2.pk])[gpt2.pk].descendants + 1
        assert sum(family.by_depth) == sum(n for _, n in family.growth) + family.undated == family.size
        assert sum(family.relations.values()) == family.size - 1
        assert dict(family.authors)["many"] == 14
        assert queries.family(repo("acme/gpt2-chat")) is None, "no root"
        assert queries.family(repo("lone/model")) is None
        largest = queries.largest_families(limit=2)
        assert [f.root.name for f in largest] == ["gpt2", "lost/base-of-old"]

    def test_search_in_family(self) -> None:
        assert "acme/gpt2-chat" in by_name(queries.search_in_family(repo("gpt2"), "CHAT"))
        assert queries.search_in_family(repo("gpt2"), "_%") == ()

    def test_totals(self) -> None:
        totals = queries.totals()
        assert (totals.listed, totals.stubs, totals.edges) == (len(family_rows()), 1, Edge.objects.count())


def test_a_cycle_is_found_named_and_broken() -> None:
    grow(
        [
            row("a/first", "a/third", created="2023-01-01T00:00:00.000Z"),
            row("a/second", "a/first", created="2023-02-01T00:00:00.000Z"),
            row("a/third", "a/second", created="2023-03-01T00:00:00.000Z"),
        ]
    )
    assert by_name(queries.line(repo("a/third")).members) == ["a/first", "a/second", "a/third"]
    (parent,) = queries.parents(repo("a/first")).items
    assert parent.link.standing == "contradicted"
    assert not parent.link.primary
    remark = queries.findings(repo("a/second"))[0]
    assert (remark.code, remark.severity) == ("cycle", "error")
    assert "a/first → a/second → a/third → a/first" in remark.sentence
    assert len(queries.ancestors(repo("a/first")).nodes) == 3
    put([row("a/first", created="2023-01-01T00:00:00.000Z")])
    settle()
    assert queries.findings(repo("a/second")) == ()


def test_an_old_name_leads_to_the_model_that_had_it() -> None:
    put([row("a/base"), row("b/child", card={"base_model": "a/base"})])
    renamed = row("a/base") | {"id": "a/better-name", "lastModified": "2025-01-01T00:00:00.000Z"}
    put([renamed])
    settle()
    (parent,) = queries.parents(repo("b/child")).items
    assert (parent.repo.name, parent.link.repaired) == ("a/better-name", "renamed")
    assert [s.text for s in parent.statements] == ["a/base"]
    assert "parent_renamed" in {r.code for r in parent.remarks}


def test_what_a_card_no_longer_says_is_withdrawn_and_kept() -> None:
    grow([row("a/base"), row("b/base"), row("c/child", "a/base")])
    grow([row("c/child", "b/base")])
    parents = queries.parents(repo("c/child"))
    assert by_name(parents.items) == ["b/base"]
    assert {s.text for s in parents.withdrawn} == {"a/base"}
    grow([row("c/child", "a/base")])
    parents = queries.parents(repo("c/child"))
    assert by_name(parents.items) == ["a/base"]
    assert {s.text for s in parents.withdrawn} == {"b/base"}


def test_a_name_that_nobody_writes_any_more_is_forgotten() -> None:
    from hubapp.catalog.models import Repo

    grow([row("c/child", card={"base_model": "lost/typo"})])
    assert Repo.objects.filter(name="lost/typo").exists()
    grow([row("c/child")])
    assert not Repo.objects.filter(name="lost/typo").exists()


_graphs = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=16, unique=True)


@given(_graphs, st.integers(0, 8), st.integers(0, 8))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_walks_in_the_database_equal_walks_in_networkx(pairs: list[tuple[int, int]], a: int, b: int) -> None:
    with undone():
        parents: dict[int, list[str]] = {v: [] for v in range(9)}
        for parent, child in pairs:
            if parent != child:
                parents[child].append(f"m/{parent}")
        grow([row(f"m/{v}", *up, downloads=100 * v) for v, up in parents.items()])
        graph = neighbourhoods.build((p, c) for p, c in pairs if p != c)
        graph.add_nodes_from(range(9))
        number = {repo(f"m/{v}").pk: v for v in range(9)}
        key = {v: pk for pk, v in number.items()}
        up = queries.ancestors(key[a])
        assert {number[i]: d for i, d in up.distances.items()} == neighbourhoods.ancestors(graph, a)
        down = queries.descendants(key[a], depth=20)
        assert {number[i]: d for i, d in down.distances.items()} == neighbourhoods.descendants(graph, a)
        inside = set(neighbourhoods.ancestors(graph, a))
        assert {(number[e.parent_id], number[e.child_id]) for e in up.links} == set(graph.subgraph(inside).edges)
        nearest = neighbourhoods.nearest_common_ancestors(graph, a, b)
        common = queries.common_ancestor(key[a], key[b])
        assert (common is None) == (not nearest)
        if common is not None:
            assert {number[x.id] for x in (common.ancestor, *common.others)} == set(nearest)
            assert nearest[number[common.ancestor.id]] == (common.distance_a, common.distance_b)
            path = queries.path(key[a], key[b])
            assert path is not None
            assert len(path.members) == common.distance_a + common.distance_b + 1
            steps = [(number[e.parent_id], number[e.child_id]) for e in path.links]
            assert all(graph.has_edge(*step) for step in steps)
        lines = {number[pk]: [number[m.id] for m in queries.line(pk).members] for pk in number}
        tree = nx.DiGraph((line[-2], v) for v, line in lines.items() if len(line) > 1)
        assert not tree or nx.is_branching(tree)


def test_bounds_are_kept_and_said() -> None:
    grow([row("a/base"), *(row(f"b/c{i}", "a/base", downloads=2**i) for i in range(30))])
    base = repo("a/base")
    graph = queries.descendants(base, depth=3, max_nodes=10)
    assert graph.truncated
    assert by_name(graph.nodes)[:2] == ["a/base", "b/c29"]
    assert len(graph.nodes) == 10
    assert not queries.descendants(base, depth=3, max_nodes=31).truncated
    near = queries.neighbourhood(base, down=3, per_parent=100, max_nodes=10)
    assert near.truncated
    assert len(near.nodes) == 10
