"""Search by meaning, as pages and the API ask for it: names, cards and weights in one list, each with its reasons.

The ``search`` process compares; what may be shown is decided here, by what is stored. Where the process gives no
answer, names and a plain reading of the most popular cards stand in, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hubapp.catalog import bulk
from hubapp.searching import asking, conditions, hits, meanings, reading
from hubapp.searching.hits import Hit
from hubapp.searching.query import Query, Sort
from workers.errors import BadRequest
from workers.searching.records import NAMED_MAX, RESULTS_MAX, Found, Question, Reason, Why
from workers.searching.rules import fold, subject

FEW = 3  # matches by name below which words are taken to mean something
NAME_FITS = 0.93  # how surely a model is meant whose name holds every word …
NAME_STEP = 0.0005  # … and less for each that is more popular
CARDS_READ = 5_000  # the most popular ones, where the process is away
CARD_FITS = 0.5
ALIKE = 8
_SHORT = 3  # letters of a word that is looked for in cards


@dataclass(frozen=True, slots=True)
class Meant:
    """A page of results by meaning.

    ``reasons`` by repo id, the strongest first. ``state``: "ready", or why the process gave no answer ("loading",
    "down"). ``total``: all results there are, of which the weights of ``weights`` models and ``cards`` cards were
    compared. ``next``: the mark of the next page.
    """

    hits: tuple[Hit, ...]
    reasons: Mapping[int, tuple[Reason, ...]]
    total: int
    next: str = ""
    state: str = "ready"
    weights: int = 0
    cards: int = 0
    scores: Mapping[int, float] = field(default_factory=dict)


def is_meant(query: Query, *, by_name: int, is_all: bool, is_corrected: bool) -> bool:
    """Whether a text is better read as a description than as parts of a name.

    ``by_name``: how many names on the first page hold it; ``is_all``: whether these are all; ``is_corrected``: whether
    it was first respelt. Three or more plain words are a description; two are one unless a page is full of such names;
    one word is, unless some models are called so.
    """
    if query.by or query.sort != Sort.POPULARITY or query.literal or query.after:
        return query.by == "meaning"
    words = fold(query.text).split()
    if not words or "/" in query.text or "_" in query.text:
        return False
    plain = [word for word in words if len(word) > 1 and not word[0].isdigit()]
    if len(plain) < len(words):
        return len(plain) >= 2 and by_name < FEW and not is_corrected
    if len(words) >= 3:
        return True
    if len(words) == 2:
        return is_all
    return by_name < FEW and not is_corrected and len(words[0]) >= 3


def search(query: Query) -> Meant:
    """The page that ``query`` asks for, by meaning. Raises BadRequest for an ``after`` that is none of these lists'."""
    start = _start(query.after)
    if not query.text:
        return Meant(hits=(), reasons={}, total=0)
    named = _named(query)
    filters = {name: value for name, value in query.but(text="", by="").to_params().items() if name not in _NO_FILTER}
    try:
        answer = asking.ask(Question(text=query.text, filters=filters, named=named))
        found, state, weights, cards = answer.found, "ready", answer.weights, answer.cards
    except asking.Silent as silent:
        found, state, weights, cards = _without(query, named), silent.state, 0, 0
    here = set(meanings.findable([one.repo_id for one in found]))
    found = tuple(one for one in found if one.repo_id in here)
    shown = found[start : start + query.limit]
    more = start + query.limit < len(found)
    return Meant(
        hits=hits.of([one.repo_id for one in shown]),
        reasons={one.repo_id: one.reasons for one in shown},
        scores={one.repo_id: one.score for one in shown},
        total=len(found),
        next=f"m{start + query.limit}" if more else "",
        state=state,
        weights=weights,
        cards=cards,
    )


def alike(repo_id: int, limit: int = ALIKE) -> Meant:
    """Models like one: by weights within its tree where they were read, else by what cards say."""
    try:
        answer = asking.alike(repo_id, 2 * limit)
    except asking.Silent as silent:
        return Meant(hits=(), reasons={}, total=0, state=silent.state)
    here = meanings.findable([one.repo_id for one in answer.found])[:limit]
    by_id = {one.repo_id: one for one in answer.found}
    return Meant(
        hits=hits.of(here),
        reasons={repo_id: by_id[repo_id].reasons for repo_id in here},
        scores={repo_id: by_id[repo_id].score for repo_id in here},
        total=len(here),
    )


_FROM_CARD = Reason(Why.CARD, CARD_FITS)
_NO_FILTER = frozenset({"q", "by", "sort", "literal", "after", "limit"})


def _start(after: str) -> int:
    if not after:
        return 0
    if after[:1] == "m" and after[1:].isdecimal() and int(after[1:]) <= RESULTS_MAX:
        return int(after[1:])
    raise BadRequest("These results can't be gone on from here: the mark is of another search. Start at page one.")


def _named(query: Query) -> dict[int, float]:
    """The models whose name holds every word of the text, or of what it is about, as sure as names are."""
    found: dict[int, float] = {}
    for text in dict.fromkeys((query.text, subject(query.text))):
        wanted = query.but(text=text)
        for _, repo_id in reading.page(conditions.of(wanted), Sort.POPULARITY, None, NAMED_MAX):
            found.setdefault(repo_id, NAME_FITS - NAME_STEP * len(found))
    return dict(list(found.items())[:NAMED_MAX])


def _without(query: Query, named: Mapping[int, float]) -> tuple[Found, ...]:
    """What names and a plain reading of cards find, without the process."""
    found = [Found(repo_id, fit, (Reason(Why.NAME, fit),)) for repo_id, fit in named.items()]
    found += [Found(repo_id, CARD_FITS, (_FROM_CARD,)) for repo_id in _in_cards(query) if repo_id not in named]
    return tuple(found[:RESULTS_MAX])


def _in_cards(query: Query) -> Sequence[int]:
    """Of the most popular models under the filters those whose card holds every longer word of the text."""
    words = [word for word in fold(subject(query.text)).split() if len(word) >= _SHORT][:6]
    wanted = conditions.of(query.but(text=""))
    if not words or wanted.is_empty:
        return ()
    tests = [*wanted.tests, *wanted.probes]
    where = " AND ".join(f"({test.sql})" for test in tests) or "TRUE"
    holds = " AND ".join(["lower(r.card_excerpt) LIKE %s"] * len(words))
    rows = bulk.fetch(
        f"SELECT e.repo_id FROM (SELECT e.key, e.repo_id FROM searching_entry e WHERE {where} "  # noqa: S608
        f"ORDER BY e.key LIMIT {CARDS_READ}) e JOIN catalog_repo r ON r.id = e.repo_id "
        f"WHERE r.card_excerpt <> '' AND {holds} ORDER BY e.key LIMIT {RESULTS_MAX}",
        [*(param for test in tests for param in test.params), *(f"%{word}%" for word in words)],
    )
    return [row[0] for row in rows]
