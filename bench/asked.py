"""What visitors of ``bench.pages`` ask for: 500 distinct searches, model pages, trees, the children of a giant."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

Fetch = Callable[[str], list[tuple[Any, ...]]]
Asked = dict[str, list[str]]

SHARES = {"common": 150, "rare": 150, "two letters": 80, "misspelt": 120}
MODELS = 150
TREES = 100
EXPANSIONS = 60


def requests(fetch: Fetch, seed: int = 11) -> Asked:
    """By kind, the addresses to ask for. ``fetch`` runs SQL on the filled database: names and numbers come from it."""
    dice = random.Random(seed)
    names = [name for (name,) in fetch(_sample("SELECT id, name FROM catalog_repo", fetch, dice, 4_000))]
    found = _searches(names, fetch, dice)
    famous = [
        name
        for (name,) in fetch(
            "SELECT r.name FROM searching_entry e JOIN catalog_repo r ON r.id = e.repo_id ORDER BY e.key LIMIT 60"
        )
    ]
    rooted = [
        name
        for (name,) in fetch(
            _sample("SELECT r.id, r.name FROM catalog_repo r JOIN lineage_node n ON n.repo_id = r.id", fetch, dice, 60)
        )
    ]
    merged = [
        name
        for (name,) in fetch(
            "SELECT name FROM catalog_repo WHERE id IN (SELECT child_id FROM lineage_edge "
            "GROUP BY child_id ORDER BY count(*) DESC, child_id LIMIT 10)"
        )
    ]
    giant, name = fetch(
        "SELECT n.repo_id, r.name FROM lineage_node n JOIN catalog_repo r ON r.id = n.repo_id "
        "ORDER BY n.finetunes + n.adapters + n.quantized + n.merges DESC LIMIT 1"
    )[0]
    pages = _distinct([*famous, *rooted, *merged, name, *names], MODELS)
    found["model page"] = [f"/models/{quote(page)}" for page in pages]
    trees = _distinct([*famous[:30], *rooted, *merged, name], TREES)
    found["tree page"] = [f"/tree/{quote(tree)}" for tree in trees]
    found["tree opened"] = [f"/tree-data/open/{quote(tree)}" for tree in trees]
    found["giant expanded"] = _expansions(giant, name, fetch)
    return found


def _searches(names: Sequence[str], fetch: Fetch, dice: random.Random) -> Asked:
    words = Counter(word for name in names for word in _words(name))
    common = [word for word, _ in words.most_common(80) if len(word) > 2]
    terms: dict[str, list[str]] = {}
    for kind, value in fetch(
        "SELECT t.kind, t.value FROM searching_tally y JOIN catalog_term t ON t.id = y.term_id "
        "ORDER BY y.count DESC LIMIT 200"
    ):
        terms.setdefault(kind, []).append(value)
    draw: dict[str, Callable[[], str]] = {
        "common": lambda: " ".join(dice.sample(common, dice.choice((1, 1, 2)))),
        "rare": lambda: _rare(dice.choice(names), dice),
        "two letters": lambda: dice.choice([word for word in words if len(word) > 1])[:2],
        "misspelt": lambda: _misspelt(dice.choice([word for word in common if len(word) > 4 and word.isalpha()]), dice),
    }
    seen: set[str] = set()
    found: Asked = {}
    for kind, share in SHARES.items():
        addresses: list[str] = []
        for _ in range(share * 50):
            params = {"q": draw[kind](), **_filters(terms, dice)}
            address = f"/search?{urlencode(params)}"
            if address not in seen:
                seen.add(address)
                addresses.append(address)
            if len(addresses) == share:
                break
        found[kind] = addresses
    return found


def _filters(terms: dict[str, list[str]], dice: random.Random) -> dict[str, str]:
    """Half of the searches have filters, one or two; a sixth another order."""
    possible: list[Callable[[], dict[str, str]]] = [
        *[
            lambda kind=kind: {kind: dice.choice(terms[kind])}
            for kind in ("task", "library", "licence", "language", "dataset")
            if kind in terms
        ],
        lambda: {"relation": dice.choice(("finetune", "adapter", "quantized", "merge"))},
        lambda: {"min": dice.choice(("1b", "7b", "30b"))},
        lambda: {"max": dice.choice(("100m", "1b", "8b"))},
        lambda: {"since": f"{dice.randint(2023, 2026)}-0{dice.randint(1, 6)}-01"},
        lambda: {"no_parent": "1"},
        lambda: {"has_findings": "1"},
    ]
    chosen: dict[str, str] = {}
    for make in dice.sample(possible, dice.choice((0, 0, 0, 1, 1, 2))):
        chosen |= make()
    if dice.random() < 1 / 6:
        chosen["sort"] = dice.choice(("likes", "created", "modified", "size", "trending", "name"))
    return chosen


def _expansions(giant: int, name: str, fetch: Fetch) -> list[str]:
    """Pages of the giant's children, from the first to far in, as the tree asks for them and as the plain list does."""
    found = []
    for relation, number in (("finetune", 1), ("adapter", 2), ("quantized", 3), ("merge", 4)):
        ranks = [
            rank
            for (rank,) in fetch(
                f"SELECT rank FROM lineage_edge WHERE parent_id = {giant} AND relation = {number} ORDER BY rank"
            )
        ]
        found.append(f"/children/{quote(name)}?relation={relation}")
        steps = [0, *range(24, len(ranks), max(1, len(ranks) // (EXPANSIONS // 4)))]
        found += [
            f"/tree-data/children/{giant}?"
            + urlencode({"shelf": relation, "limit": 50, **({"after": ranks[at]} if at else {})})
            for at in steps
            if at < len(ranks)
        ]
    return [f"/tree-data/children/{giant}", *found]


def _sample(select: str, fetch: Fetch, dice: random.Random, count: int) -> str:
    """SQL for the names of some rows, drawn by id."""
    last = fetch("SELECT max(id) FROM catalog_repo")[0][0]
    ids = sorted({dice.randint(1, last) for _ in range(count * 4)})
    column = select.split()[1].rstrip(",")
    name = select.split()[2]
    body = select.split(" FROM ", 1)[1]
    return f"SELECT {name} FROM {body} WHERE {column} IN ({', '.join(map(str, ids))}) ORDER BY {column} LIMIT {count}"


def _words(name: str) -> list[str]:
    return [word for word in name.lower().replace("/", " ").replace("-", " ").replace("_", " ").split() if word]


def _rare(name: str, dice: random.Random) -> str:
    """What somebody remembers of one model's name."""
    owner, _, rest = name.rpartition("/")
    return dice.choice((name, owner or name, f"{owner} {rest.split('-')[0]}", rest))


def _misspelt(word: str, dice: random.Random) -> str:
    at = dice.randrange(1, len(word) - 1)
    return dice.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + dice.choice(string.ascii_lowercase) + word[at:],
            word[:at] + dice.choice(string.ascii_lowercase) + word[at + 1 :],
        )
    )


def _distinct(names: Sequence[str], count: int) -> list[str]:
    return list(dict.fromkeys(names))[:count]
