"""The known dirt of real rows, counted beforehand by other means, found by the real way through the house."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from hubapp.catalog.models import Repo
from hubapp.lineage import queries
from hubapp.lineage.models import Edge, Evidence, Finding
from tests.lineage.trees import by_name, check_nodes, grow, repo
from workers.lineage.records import Code, Relation, Source

pytestmark = pytest.mark.django_db


def model_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of hub_models.parquet as the list endpoint gave them."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(folder / "hub_models.parquet").to_pylist()
    for row in rows:
        row["cardData"] = json.loads(row["cardData"] or "null")
        for key in ("createdAt", "lastModified"):
            row[key] = row[key].isoformat() + ".000Z"
        row["safetensors"] = row["gguf"] = None
    return rows


def edge_rows(folder: Path) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """hub_edges.csv as models that the Hub resolved, and its (parent, child) pairs."""
    words = {"finetuned": "finetune", "quantized": "quantized", "merged": "merge", "adapter": "adapter"}
    models: dict[str, dict[str, list[str]]] = {}
    pairs = []
    with (folder / "hub_edges.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            pairs.append((line["source"], line["target"]))
            models.setdefault(line["source"], {})
            models.setdefault(line["target"], {}).setdefault(words[line["edge"]], []).append(line["source"])
    rows = []
    for name, parents in models.items():
        groups = [{"relation": r, "models": [{"id": p} for p in many]} for r, many in parents.items()]
        rows.append({"id": name, "baseModels": groups or None, "tags": [], "createdAt": "2024-01-01T00:00:00.000Z"})
    return rows, pairs


def test_the_models(shared_data: Path) -> None:
    rows = model_rows(shared_data)
    grow(rows)
    check_nodes()
    declared = {(row["id"], m["id"]) for row in rows if row["baseModels"] for m in row["baseModels"]["models"]}
    assert len(declared) == 5_201
    edges = set(Edge.objects.values_list("child__name", "parent__name"))
    assert {pair for pair in declared if pair[0] != pair[1]} <= edges, "no parent that the Hub resolved is lost"
    assert Evidence.objects.filter(source=Source.HUB).count() == Evidence.objects.filter(source=Source.TAG).count()

    found: dict[str, set[tuple[str, str]]] = {}
    for name, code, subject in Finding.objects.values_list("repo__name", "code", "subject"):
        found.setdefault(code, set()).add((name, subject))
    models = {code: {name for name, _ in pairs} for code, pairs in found.items()}

    # 106 rows are tagged merge yet typed finetune; 28 of them list several parents, which makes the merge certain.
    assert len(models[Code.MERGE_TYPED_FINETUNE]) == 106
    assert Edge.objects.filter(repaired="relation").values("child").distinct().count() == 28
    assert not Edge.objects.filter(repaired="relation").exclude(relation=Relation.MERGE).exists()

    # 19 entries differ from a listed name in case alone; one of them is the model's own.
    assert len(found[Code.WRONG_CASE]) == 18
    assert ("stepfun-ai/Step-3.5-Flash", "stepfun-ai/step-3.5-flash") in found[Code.SELF_REFERENCE]
    assert Edge.objects.filter(repaired="case").count() >= 17

    # 5 cards name their own model, and one does so by its bare name.
    own = {name for name, text in found[Code.SELF_REFERENCE] if name == text}
    assert len(own) >= 5
    assert ("Goekdeniz-Guelmez/josie-3b-v6.0", "josie-3b-v6.0") in found[Code.SELF_REFERENCE]

    # 29 lists repeat an entry letter by letter, one more in another case.
    assert len(models[Code.DUPLICATE_ENTRY]) == 30

    # 10 entries have no namespace and are no model: each has its finding.
    listed = {row["id"].lower() for row in rows}
    bare = {
        (name, text)
        for name, text in Evidence.objects.filter(source=Source.CARD).values_list("child__name", "text")
        if "/" not in text and text.lower() not in listed
    }
    assert sum(Evidence.objects.get(child__name=n, text=t, source=Source.CARD).times for n, t in bare) == 10
    explained = found[Code.NO_NAMESPACE] | found[Code.PLACEHOLDER] | found[Code.SELF_REFERENCE]
    assert bare <= explained

    # 70 cards with a base_model resolve to nothing, most of them empty lists; of those that name something each
    # entry is kept, and the Hub drops 376 single entries of cards of which it resolves others.
    def card_of(row: dict[str, Any]) -> list[str]:
        value = (row["cardData"] or {}).get("base_model") or []
        return [value] if isinstance(value, str) else value

    nothing = [row for row in rows if card_of(row) and not row["baseModels"]]
    assert len(nothing) == 70
    for row in nothing:
        kept = set(Evidence.objects.filter(child__name=row["id"], source=Source.CARD).values_list("text", flat=True))
        assert kept == set(card_of(row))
        assert queries.findings(repo(row["id"])), row["id"]
    single = 0
    for row in rows:
        if row["baseModels"]:
            resolved = {m["id"].lower() for m in row["baseModels"]["models"]}
            dropped = [text for text in card_of(row) if text.lower() not in resolved]
            single += len(dropped)
            for text in dropped:
                codes = {code for code in found if (row["id"], text) in found[code]}
                meant = {d["meant"] for s, d in _details(row["id"], Code.WRONG_CASE) if s == text}
                assert codes or meant, (row["id"], text)
    assert single == 376

    # 24 known edges lead from a younger parent; 921 parents are not among the models.
    known = {(n, p) for n, p in found[Code.PARENT_YOUNGER] if (n, p) in declared}
    assert len(known) == 24
    unlisted = {parent for _, parent in declared} - {row["id"] for row in rows}
    assert len(unlisted) == 921
    assert unlisted <= set(Repo.objects.filter(state="stub").values_list("name", flat=True)) | {
        stub for stub in unlisted if Repo.objects.filter(folded=stub.lower(), state="stub").exists()
    }


def _details(name: str, code: Code) -> list[tuple[str, dict[str, Any]]]:
    return list(Finding.objects.filter(repo__name=name, code=code).values_list("subject", "detail"))


def test_the_edges(shared_data: Path) -> None:
    rows, pairs = edge_rows(shared_data)
    grow(rows)
    check_nodes()
    loops = {child for parent, child in pairs if parent == child}
    assert len([1 for parent, child in pairs if parent == child]) == 42
    assert set(Finding.objects.filter(code=Code.SELF_REFERENCE).values_list("repo__name", flat=True)) == loops
    graph = nx.DiGraph((p, c) for p, c in pairs if p != c)
    assert set(Edge.objects.values_list("parent__name", "child__name")) == set(graph.edges)
    assert not Finding.objects.filter(code=Code.CYCLE).exists()

    totals = queries.totals()
    assert (totals.listed, totals.edges, totals.stubs) == (29_973, graph.number_of_edges(), 0)
    assert nx.dag_longest_path_length(graph) == 16
    deepest = max(graph, key=lambda v: len(nx.ancestors(graph, v)))
    assert set(by_name(queries.ancestors(repo(deepest), max_nodes=20_000).nodes)) == nx.ancestors(graph, deepest) | {
        deepest
    }

    # 23% of the edges start at an unsloth mirror: each of their children is told whose model that likely is.
    mirrored = {child for parent, child in graph.edges if parent.startswith("unsloth/")}
    told = Counter(Finding.objects.filter(code=Code.MIRROR).values_list("repo__name", flat=True))
    own = {child for child in mirrored if child not in told}
    assert all(_is_the_original(child, graph) for child in own), own
    quantized = {c for _, c, r in Edge.objects.values_list("parent__name", "child__name", "relation") if r == 3}
    twice = Edge.objects.filter(relation=Relation.QUANTIZED, parent__name__in=quantized).values("child").distinct()
    assert Finding.objects.filter(code=Code.QUANTIZED_OF_QUANTIZED).count() <= twice.count()


def _is_the_original(child: str, graph: nx.DiGraph) -> bool:
    """A model that names its own mirror as its parent is told nothing: its likely original would be itself."""
    parents = [p for p in graph.predecessors(child) if p.startswith("unsloth/")]
    return all(p.partition("/")[2].lower() in child.lower() for p in parents)
