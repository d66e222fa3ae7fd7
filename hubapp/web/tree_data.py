"""The tree's data as its scripts read it: models, edges, shelves of children, in compact JSON.

Every answer may hold ``nodes``, ``edges`` and ``ghosts`` (parents that were named in vain), which the browser adds to
what it knows; ``whole`` lists models all of whose parents are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import QueryDict

from hubapp.lineage import queries, shelves, ties, weighed
from hubapp.lineage.shapes import Brief, Filters, Link
from workers.errors import BadRequest
from workers.lineage.records import Relation, Source

PREVIEW = 12
"""Children of each relation in a first look."""
MOST_AT_ONCE = 500
"""Children in one answer."""
MOST_NAMES = 60
"""Models whose lines are opened at once; static/tree/state.js writes no more into an address."""
LONGEST_LINE = 200

SIZES: dict[str, tuple[str, int | None, int | None]] = {
    "under-1b": ("under 1 B", None, 10**9),
    "1b-4b": ("1 to 4 B", 10**9, 4 * 10**9),
    "4b-9b": ("4 to 9 B", 4 * 10**9, 9 * 10**9),
    "9b-20b": ("9 to 20 B", 9 * 10**9, 20 * 10**9),
    "20b-80b": ("20 to 80 B", 20 * 10**9, 80 * 10**9),
    "over-80b": ("over 80 B", 80 * 10**9, None),
    "unknown": ("not known", None, None),
}
"""Classes of size: words, least number of parameters, number below. static/tree/state.js has the same list."""

_LETTERS = {
    Relation.FINETUNE: "f",
    Relation.ADAPTER: "a",
    Relation.QUANTIZED: "q",
    Relation.MERGE: "m",
    Relation.UNKNOWN: "u",
}


def read_relation(name: str) -> Relation:
    """``"adapter"`` → ``Relation.ADAPTER``. Raises BadRequest for anything else."""
    try:
        return Relation[name.upper()]
    except KeyError:
        raise BadRequest(f"There is no relation called {name!r}.") from None


def read_filters(query: QueryDict) -> Filters:
    """The filters of an address. What can't be read asks for nothing, as in the browser."""
    names = {name for text in query.getlist("relation") for name in text.split(",")}
    size = query.get("size", "")
    _, least, below = SIZES.get(size, ("", None, None))
    return Filters(
        relations=frozenset(relation for relation in Relation if relation.name.lower() in names),
        author=query.get("author", "").strip(),
        task=query.get("task", "").strip(),
        licence=query.get("licence", "").strip(),
        created_to=_end_of_day(query.get("until", "")),
        min_parameters=least,
        below_parameters=below,
        parameters_known=False if size == "unknown" else None,
        with_findings=query.get("findings") == "1",
    )


def _end_of_day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None


def read_number(query: QueryDict, name: str, *, default: int | None = None, most: int = 2**62) -> int | None:
    """A whole number of the address, at least 0. Raises BadRequest where it is none."""
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise BadRequest(f"{name} must be a whole number.")
    return min(int(text), most)


def node(brief: Brief) -> dict[str, Any]:
    """One model. ``counts`` are of direct children in the order of ``Relation``; times are milliseconds since 1970."""
    return {
        "id": brief.id,
        "name": brief.name,
        "author": brief.author,
        "state": brief.state,
        "created": int(brief.created_at.timestamp() * 1000) if brief.created_at else None,
        "downloads": brief.downloads,
        "likes": brief.likes,
        "task": brief.task,
        "library": brief.library,
        "licence": brief.licence_name or brief.licence if brief.licence == "other" else brief.licence,
        "parameters": brief.parameters,
        "root": brief.root_id,
        "parent": brief.parent_id,
        "depth": brief.depth,
        "descendants": brief.descendants,
        "counts": list(brief.children.by_relation().values()),
        "findings": brief.findings,
    }


def edge(link: Link, at: int, doubts: tuple[str, ...], glance: tuple[str, str, str] | None = None) -> dict[str, Any]:
    """One edge: parent, child, relation, mask of sources (1 << Source), kind of line, place among the child's parents;
    what the weights say, where they were compared, by which figure, and the likelier parent.

    Whether the parent is only a name, the browser sees from the parent.
    """
    odd = bool(doubts) or link.standing == "contradicted"
    found: dict[str, Any] = {
        "p": link.parent_id,
        "c": link.child_id,
        "r": int(link.relation),
        "m": _mask(link.sources),
        "k": "contradicted" if odd else "declared" if link.standing == "unresolved" else link.standing,
        "at": at,
        "primary": link.primary,
    }
    if link.repaired:
        found["repaired"] = link.repaired
    if odd:
        found["why"] = list(doubts) or ["cycle"]
    if glance is not None:
        found["w"], found["figure"], likelier = glance
        if likelier:
            found["likelier"] = likelier
    return found


def _mask(sources: Iterable[Source]) -> int:
    return sum(1 << source for source in sources)


def gather(ids: Iterable[int], *, whole: Collection[int] = ()) -> dict[str, Any]:
    """Models with all edges to them and what they name in vain. For those in ``whole`` also the other ends of these
    edges.
    """
    wanted = list(dict.fromkeys(ids))
    links = queries.links_to(wanted)
    ends = {link.parent_id for link in links if link.child_id in whole} - set(wanted)
    # Of those ends one edge each, the primary one: it gives them their shape.
    links += [link for link in queries.links_to(list(ends)) if link.primary]
    briefs = queries.briefs([*wanted, *ends])
    odd = ties.oddities(wanted)
    # Doubts name the parent: those whose name is not at hand are looked up, they are few.
    doubted = {child for child, _ in odd.doubts}
    names = briefs | queries.briefs(
        link.parent_id for link in links if link.child_id in doubted and link.parent_id not in briefs
    )
    glances = weighed.glances([link.child_id for link in links if link.verdict])
    edges = []
    places: Counter[int] = Counter()
    for link in links:
        parent = names.get(link.parent_id)
        against = odd.doubts.get((link.child_id, parent.name.lower()), ()) if parent else ()
        edges.append(edge(link, places[link.child_id], against, glances.get((link.parent_id, link.child_id))))
        places[link.child_id] += 1
    return {
        "nodes": [node(brief) | ({"self": True} if brief.id in odd.selves else {}) for brief in briefs.values()],
        "edges": edges,
        "ghosts": [
            {"child": each.child_id, "text": each.text, "r": int(each.relation or 0), "m": _mask(each.sources)}
            for each in ties.loose(wanted)
        ],
        "whole": list(whole),
    }


def lines(focus_id: int, others: Iterable[int]) -> dict[str, Any]:
    """A focus with its line to the root and all its parents; of the others their lines to the root."""
    ids: dict[int, None] = {}
    for pk in [focus_id, *others]:
        if pk not in ids:
            ids.update(dict.fromkeys(member.id for member in queries.line(pk, limit=LONGEST_LINE).members))
    return {"focus": focus_id, **gather(ids, whole=[focus_id])}


def first_look(parent: Brief, filters: Filters) -> dict[str, Any]:
    """The most popular children of each relation, and whose they mostly are."""
    counts = parent.children.by_relation()
    relations = [each for each in Relation if counts.get(each) and (not filters.relations or each in filters.relations)]
    found: dict[str, dict[str, Any]] = {}
    ids: list[int] = []
    for relation in relations:
        shelf = shelves.page(parent.id, relation, limit=PREVIEW, filters=filters, stretches=shelves.GLANCE)
        ids += shelf.child_ids
        found[_LETTERS[relation]] = _shelf(shelf)
        if counts[relation] > PREVIEW:
            names, sampled = shelves.authors(parent.id, relation)
            found[_LETTERS[relation]] |= {"authors": names, "sampled": sampled}
    return {"shelves": found, **gather(ids)}


def further(
    parent_id: int, relation: Relation, *, after: int | None, limit: int, author: str, filters: Filters
) -> dict[str, Any]:
    """The next children of one relation (and author)."""
    shelf = shelves.page(parent_id, relation, after=after, limit=limit, author=author, filters=filters)
    return {"shelves": {_LETTERS[relation]: _shelf(shelf)}, **gather(shelf.child_ids)}


def _shelf(shelf: shelves.Shelf) -> dict[str, Any]:
    # A rank is larger than what a number of JavaScript holds exactly: it travels as text.
    after = None if shelf.after is None else str(shelf.after)
    return {"ids": shelf.child_ids, "after": after, "done": shelf.done, "looked": shelf.looked}
