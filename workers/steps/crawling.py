"""The steps of a crawl: one page, one batch of look-ups, or one change of phase at a time.

The cursor is a small object: ``phase`` (listing, up, down, lookups, end), where the phase stands, and what has been
counted so far. A step reads from the Hub outside any transaction and hands back how to store what it read.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings

from hubapp.crawling import queries, services
from hubapp.crawling.ledger import SharedBudget
from hubapp.crawling.models import Crawl, Scope
from hubapp.jobs.models import Job
from hubapp.lineage import services as lineage
from workers.crawling import lookups, outbound, reader
from workers.crawling.client import PAGE, HubClient, with_limit
from workers.crawling.gate import Gate
from workers.crawling.listing import Listing, ReadPage
from workers.crawling.records import RepoFacts
from workers.errors import BadRequest, CursorExpired, RateLimited, RepoMissing, TooLarge
from workers.lineage.rules import fold, read
from workers.steps import Outcome, step

BATCH = 16  # names looked up in one step
NAMES = 500  # unknown names taken from the database at once
FAMILY_UP = 500  # ancestors of one model that are looked up at most
FAMILY_DOWN = 2_000  # models of one family whose children are listed at most
RESTARTS = 20  # of one listing without getting any further: then something is wrong with its cursors
WAKE_PAGES = 20  # pages after which lineage is woken during a crawl, so that trees grow while it runs
WAKE_SECONDS = 20.0
SMALLEST_PAGE = 10

State = dict[str, Any]


@lru_cache(maxsize=4)
def _client(endpoint: str, token: str | None) -> HubClient:
    return HubClient(endpoint, settings.HUB_STORAGE_HOSTS, token, Gate(SharedBudget(endpoint)))


def client_for(job: Job) -> HubClient:
    """This process's client. Raises BadRequest where the job was made for another hub than the settings name."""
    asked = job.params.get("endpoint", settings.HUB_ENDPOINT)
    if asked != settings.HUB_ENDPOINT:
        raise BadRequest(f"This job is for {asked}; the settings (HF_ENDPOINT) name {settings.HUB_ENDPOINT}.")
    return _client(settings.HUB_ENDPOINT, outbound.token())


@lru_cache(maxsize=1)
def _tune() -> None:
    """Let Python's collector look less often: a page makes a hundred thousand objects that are in no circle, and going
    through them took a tenth of a crawl's time. Once in a process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@step("crawl")
def crawl(job: Job, cursor: Any) -> Outcome:
    """One step of a crawl, by its phase."""
    _tune()
    state: State = dict(cursor or {"phase": "start"})
    client = client_for(job)
    try:
        return _PHASES[state["phase"]](job, client, state)
    except RateLimited:
        client.gate.tell()  # all other workers must know
        raise


# --- start ----------------------------------------------------------------------------------------------------------
def _start(job: Job, client: HubClient, state: State) -> Outcome:
    wish = services.begin(job_id=job.pk)
    now = time.time()
    state = {"began": now, "done": 0, "pages": 0, "edges": 0, "errors": 0, "clock": [[now, 0]], "woken": [0, 0.0]}
    state["total"] = queries.expected_total(wish)
    if wish.scope == Scope.FAMILY:
        state |= {"phase": "up", "names": [wish.argument], "seen": [fold(wish.argument)], "root": wish.argument}
        return Outcome(cursor=state, progress=_progress(state))
    state |= {"phase": "listing", "first": _first_page(client, wish), "listing": wish.listing}
    if wish.scope == Scope.CHANGED:
        until = queries.watermark(wish.endpoint)
        state["until"] = until.isoformat() if until else None
    if wish.scope == Scope.TOP:
        state["most"] = int(wish.argument)
    state["url"] = state["first"]
    return Outcome(cursor=state, progress=_progress(state))


def _first_page(client: HubClient, wish: Crawl) -> str:
    if wish.scope == Scope.EVERYTHING:
        return client.listing_url(sort="createdAt")
    if wish.scope == Scope.CHANGED:
        return client.listing_url(sort="lastModified")
    if wish.scope == Scope.TOP:
        return client.listing_url(sort="downloads", limit=min(PAGE, int(wish.argument)))
    if wish.scope == Scope.AUTHOR:
        return client.listing_url(sort="createdAt", author=wish.argument)
    return client.listing_url(sort="createdAt", search=wish.argument)


# --- listing --------------------------------------------------------------------------------------------------------
_listings: dict[int, Listing] = {}
"""The listing under way in this process, kept between steps for the pages that it fetches ahead."""


def _listing(job: Job, client: HubClient, url: str) -> Listing:
    present = _listings.get(job.pk)
    if present is not None and present.at == url and present.client is client:
        return present
    for stale in list(_listings):
        _listings.pop(stale).close()
    _listings[job.pk] = Listing(client, url, read=reader.read_page if settings.HUB_READERS else None)
    return _listings[job.pk]


def _drop_listing(job: Job) -> None:
    present = _listings.pop(job.pk, None)
    if present is not None:
        present.close()


def _page(job: Job, client: HubClient, state: State) -> ReadPage | Outcome:
    """The next page, or what to do instead where it can't be had."""
    try:
        return _listing(job, client, state["url"]).next()
    except CursorExpired:
        _drop_listing(job)
        if state.get("restarts", 0) >= RESTARTS:
            raise
        # From the beginning: what is stored already is skimmed. Counts begin anew, since they count what was seen.
        state |= {"url": state["first"], "restarts": state.get("restarts", 0) + 1, "done": 0, "edges": 0}
        state["clock"] = [[time.time(), 0]]
        return Outcome(cursor=state, progress=_progress(state, "the list's cursor expired: skimming from the start"))
    except TooLarge:
        _drop_listing(job)
        limit = state.get("limit", PAGE) // 4
        if limit < SMALLEST_PAGE:
            raise
        state |= {"limit": limit, "url": with_limit(state["url"], limit)}
        return Outcome(cursor=state, progress=_progress(state, f"pages of {limit} models: larger ones can't be taken"))
    except BaseException:
        _drop_listing(job)
        raise


def _list(job: Job, client: HubClient, state: State) -> Outcome:
    page = _page(job, client, state)
    if isinstance(page, Outcome):
        return page
    facts, over = _wanted(page.facts, state)
    first = state["pages"] == 0
    _count(state, facts, page)
    if state["done"] > state.get("furthest", 0):
        state |= {"furthest": state["done"], "restarts": 0}
    last = over or page.next_url is None
    if last:
        _drop_listing(job)
        state |= {"phase": "lookups", "names": [], "left": settings.HUB_LOOKUPS}
    else:
        state["url"] = page.next_url
    wake = _is_time_to_wake(state) and not last
    moment = datetime.fromtimestamp(page.moment, UTC) if page.moment is not None and first else None

    def store() -> None:
        services.store_page(job_id=job.pk, facts=facts, rejected=page.rejected, listing=state["listing"], moment=moment)
        if wake:
            lineage.wake()

    return Outcome(store=store, cursor=state, progress=_progress(state))


def _wanted(facts: list[RepoFacts], state: State) -> tuple[list[RepoFacts], bool]:
    """The rows that the scope asks for, and whether the listing is over with them."""
    if state.get("most") is not None:
        left = state["most"] - state["done"]
        return facts[:left], len(facts) >= left
    if state.get("until"):
        until = datetime.fromisoformat(state["until"])
        new = [fact for fact in facts if fact.modified_at is None or fact.modified_at >= until]
        return new, any(fact.modified_at is not None and fact.modified_at < until for fact in facts)
    return facts, False


# --- look-ups -------------------------------------------------------------------------------------------------------
def _look_up(job: Job, client: HubClient, state: State) -> Outcome:
    names = state["names"] or queries.unknown_parents(limit=min(NAMES, state["left"])) if state["left"] > 0 else []
    if not names:
        state |= {"phase": "end", "names": []}
        return Outcome(cursor=state, progress=_progress(state))
    answers = lookups.look_up(client, names[:BATCH])
    state |= {"names": names[len(answers) :], "left": state["left"] - len(answers)}
    return _stored(job, state, answers, "looking up unknown parents")


def _stored(job: Job, state: State, answers: list[lookups.Looked], note: str) -> Outcome:
    _count(state, [answer.facts for answer in answers if answer.facts is not None])
    told = [services.Answer(answer.name, answer.facts, answer.code) for answer in answers]
    return Outcome(
        store=lambda: services.store_answers(job_id=job.pk, answers=told), cursor=state, progress=_progress(state, note)
    )


# --- one family -----------------------------------------------------------------------------------------------------
def _up(job: Job, client: HubClient, state: State) -> Outcome:
    """The model itself and its ancestors, one generation after the other."""
    names, seen = list(state["names"]), set(state["seen"])
    if not names:
        below = client.listing_url(sort="createdAt", filter=f"base_model:{state['root']}")
        state |= {"phase": "down", "queue": [], "seen": [fold(state["root"])], "listing": None}
        state |= {"url": f"{below}&expand=childrenModelCount", "listed": 1}
        state["first"] = state["url"]
        return Outcome(cursor=state, progress=_progress(state, "descendants"))
    answers = lookups.look_up(client, names[:BATCH])
    names = names[len(answers) :]
    for answer in answers:
        if fold(answer.name) == fold(state["root"]):
            if answer.facts is None:
                raise RepoMissing(f"The Hub shows no model {answer.name} ({answer.code}).")
            state["root"] = answer.facts.name
        if answer.facts is None:
            continue
        for parent in _parents(answer.facts):
            if fold(parent) not in seen and len(seen) < FAMILY_UP:
                seen.add(fold(parent))
                names.append(parent)
    state |= {"names": names, "seen": sorted(seen)}
    return _stored(job, state, answers, "ancestors")


def _parents(facts: RepoFacts) -> Iterable[str]:
    targets = {fold(target): target for d in facts.declared if (target := read(d.text).target)}
    targets.pop(fold(facts.name), None)
    return [targets[name] for name in sorted(targets)]


def _down(job: Job, client: HubClient, state: State) -> Outcome:
    """The children of one model after the other, a page at a time."""
    page = _page(job, client, state)
    if isinstance(page, Outcome):
        return page
    _count(state, page.facts, page)
    queue, seen = list(state["queue"]), set(state["seen"])
    for name, children in page.children.items():
        if children and fold(name) not in seen and state["listed"] + len(queue) < FAMILY_DOWN:
            seen.add(fold(name))
            queue.append(name)
    if page.next_url is not None:
        state["url"] = page.next_url
    elif queue:
        url = client.listing_url(sort="createdAt", filter=f"base_model:{queue.pop(0)}")
        state |= {"url": f"{url}&expand=childrenModelCount", "listed": state["listed"] + 1}
        state["first"] = state["url"]
    else:
        _drop_listing(job)
        state |= {"phase": "end", "url": None}
    state |= {"queue": queue, "seen": sorted(seen)}

    def store() -> None:
        services.store_page(job_id=job.pk, facts=page.facts, rejected=page.rejected)

    return Outcome(store=store, cursor=state, progress=_progress(state, "descendants"))


# --- end ------------------------------------------------------------------------------------------------------------
def _end(job: Job, client: HubClient, state: State) -> Outcome:
    client.gate.close()
    return Outcome(
        store=lambda: services.complete(job_id=job.pk), cursor=state, progress=_progress(state, "complete"), done=True
    )


_PHASES: dict[str, Callable[[Job, HubClient, State], Outcome]] = {
    "start": _start,
    "listing": _list,
    "lookups": _look_up,
    "up": _up,
    "down": _down,
    "end": _end,
}


# --- counting -------------------------------------------------------------------------------------------------------
def _count(state: State, facts: list[RepoFacts], page: ReadPage | None = None) -> None:
    state["done"] += len(facts)
    state["edges"] += sum(len({d.text for d in fact.declared}) for fact in facts if fact.declared)
    state["errors"] += sum(len(fact.oddities) for fact in facts)
    if page is not None:
        state["pages"] += 1
        state["errors"] += len(page.rejected)
    clock = [*state["clock"], [time.time(), state["done"]]]
    # The rate is that of the last half minute; at least two seconds between the marks.
    if len(clock) > 2 and clock[-2][0] - clock[-3][0] < 2.0:
        del clock[-2]
    state["clock"] = clock[-16:]


def _is_time_to_wake(state: State) -> bool:
    pages, at = state["woken"]
    if pages and state["pages"] - pages < WAKE_PAGES and time.time() - at < WAKE_SECONDS:
        return False
    state["woken"] = [state["pages"], time.time()]
    return True


def _progress(state: State, note: str = "") -> dict[str, Any]:
    clock = state["clock"]
    progress: dict[str, Any] = {
        "done": state["done"],
        "total": state.get("total"),
        "unit": "models",
        "pages": state["pages"],
        "models": state["done"],
        "edges": state["edges"],
        "errors": state["errors"],
        "note": note,
    }
    seconds = clock[-1][0] - clock[0][0]
    if seconds >= 1.0:
        progress["rate"] = round((clock[-1][1] - clock[0][1]) / seconds, 1)
    return progress
