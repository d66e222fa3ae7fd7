"""Rows made up from a table of edges, as the Hub would give them: card, resolved parents, tags, plausible dates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from samplehub.content import ContentError
from samplehub.shape import CREATED_FLOOR_S, Row, author_of, base_model_tags, commit_id, iso, moment_ms, object_id

Edge = tuple[str, str, str]  # parent, child, relation
Parents = dict[str, dict[str, str]]  # child → parent → relation

EDGE_COLUMNS = {"source", "target"}
#: Edge tables spell a relation as a past participle; the Hub's API has its own words.
RELATIONS = {
    "finetuned": "finetune", "merged": "merge", "adapter": "adapter", "quantized": "quantized", "finetune": "finetune",
    "merge": "merge",
}  # fmt: skip
STEP_S = 90 * 86400  # a child comes at most so long after its youngest parent


def edge_of(record: Mapping[str, Any], where: str) -> Edge:
    """Parent, child and relation. Raises ContentError where one is missing or the relation is unknown."""
    parent, child, relation = (str(record.get(name) or "").strip() for name in ("source", "target", "edge"))
    if not parent or not child:
        raise ContentError(f"{where}: an edge needs source and target (found {parent!r}, {child!r})")
    if relation and relation not in RELATIONS:
        raise ContentError(f"{where}: unknown relation {relation!r}; there are {', '.join(RELATIONS)}")
    return parent, child, RELATIONS.get(relation, "finetune")


def rows_of_edges(
    edges: list[Edge], rows: Mapping[str, Row], known: Mapping[str, str], renamed: Mapping[str, str]
) -> Iterator[Row]:
    """A row for each id that the edges name and ``rows`` lacks; dates, ``_id`` and renames go with what is known."""
    parents: Parents = {}
    order: dict[str, None] = {}
    for parent, child, relation in edges:
        order.setdefault(parent)
        order.setdefault(child)
        parents.setdefault(child, {}).setdefault(parent, relation)
    for name in renamed.values():
        order.setdefault(name)
    real = {repo_id: moment_ms(rows[repo_id].get("createdAt")) for repo_id in order if repo_id in rows}
    created = dates(order, parents, {repo_id: ms // 1000 for repo_id, ms in real.items() if ms is not None})
    oids = {
        repo_id: str(rows[repo_id]["_id"])
        if repo_id in rows
        else known.get(repo_id) or object_id(repo_id, seconds=created[repo_id])
        for repo_id in order
    }
    for repo_id in order:
        if repo_id not in rows and repo_id not in renamed:
            yield _row(repo_id, parents.get(repo_id, {}), created[repo_id], oids, renamed)


def _row(
    repo_id: str, parents: Mapping[str, str], created: int, oids: Mapping[str, str], renamed: Mapping[str, str]
) -> Row:
    dice = int(hashlib.sha256(repo_id.encode()).hexdigest()[:12], 16)
    when = iso(created)
    row: Row = {
        "_id": oids[repo_id], "id": repo_id, "modelId": repo_id, "author": author_of(repo_id), "createdAt": when,
        "lastModified": iso(created + dice % 864000), "downloads": int(50 / (dice % 997 / 997 + 0.001)),
        "downloadsAllTime": int(900 / (dice % 997 / 997 + 0.001)), "likes": int(2 / (dice % 983 / 983 + 0.01)),
        "trendingScore": 0, "private": False, "disabled": False, "gated": False,
        "sha": commit_id(repo_id, when),
    }  # fmt: skip
    if parents:
        relations = list(dict.fromkeys(parents.values()))
        relation = relations[0] if len(relations) == 1 else "merge" if "merge" in relations else relations[0]
        names = list(parents)
        row["cardData"] = {"base_model": names[0] if len(names) == 1 else names}
        # The Hub resolves every declared parent but the model itself.
        present = sorted({renamed.get(name, name) for name in names} - {repo_id})
        models = [{"_id": oids[name], "id": name} for name in present]
        library = {"adapter": "peft", "quantized": None}.get(relation, "transformers")
        if library:
            row["library_name"] = row["cardData"]["library_name"] = library
        if relation == "merge":
            row["cardData"]["tags"] = ["mergekit", "merge"]
        if models:
            row["baseModels"] = {"relation": relation, "models": models}
    row["tags"] = [
        *([row["library_name"]] if "library_name" in row else []),
        *row.get("cardData", {}).get("tags", ()),
        *base_model_tags(row.get("baseModels")),
        "region:us",
    ]
    return row


def dates(order: Mapping[str, None], parents: Parents, real: Mapping[str, int]) -> dict[str, int]:
    """Seconds of creation: each made-up child after its parents and before its children of real date.

    Where the real dates leave no room the child comes after its parents all the same. Ids on a cycle (self-loops
    too) fall where they are first met.
    """
    line = _parents_first(order, parents)
    latest: dict[str, int] = {}  # before which a made-up id should have come
    for repo_id in reversed(line):
        bound = real.get(repo_id, latest.get(repo_id))
        for parent in parents.get(repo_id, ()):
            if bound is not None and parent != repo_id:
                latest[parent] = min(bound, latest.get(parent, bound))
    created = dict(real)
    for repo_id in line:
        if repo_id in created:
            continue
        earliest = max((created[p] for p in parents.get(repo_id, ()) if p in created), default=CREATED_FLOOR_S)
        step = 3600 + int(hashlib.sha256(b"date" + repo_id.encode()).hexdigest()[:8], 16) % STEP_S
        room = latest.get(repo_id, earliest + 2 * step) - earliest
        created[repo_id] = earliest + (min(step, room // 2) if room > 1 else 1)
    return created


def _parents_first(order: Mapping[str, None], parents: Parents) -> list[str]:
    """All ids, each behind its parents; where they run in a circle, as first met."""
    done: dict[str, None] = {}
    for start in order:
        stack, entered = [start], set()
        while stack:
            repo_id = stack[-1]
            waiting = [p for p in parents.get(repo_id, ()) if p not in done and p not in entered and p != repo_id]
            if waiting and repo_id not in entered:
                entered.add(repo_id)
                stack += waiting
            else:
                done.setdefault(stack.pop())
    return list(done)
