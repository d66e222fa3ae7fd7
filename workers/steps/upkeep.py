"""What follows a crawl: repos that a complete listing no longer showed, and the cards of those it did."""

from __future__ import annotations

from typing import Any

from hubapp.catalog.models import RepoState
from hubapp.crawling import queries, services
from hubapp.crawling.models import Crawl
from hubapp.jobs.models import Job
from hubapp.lineage import services as lineage
from hubapp.searching import meanings
from workers.crawling import cards, lookups
from workers.crawling.client import HubClient
from workers.crawling.records import CardFacts
from workers.errors import BadRequest, RateLimited, RepoDisabled, RepoGated, RepoMissing, RootstockError
from workers.steps import Outcome, step
from workers.steps.crawling import client_for

BATCH = 16
CARDS = 8  # repos whose cards are read in one step


# --- reconciliation -------------------------------------------------------------------------------------------------
@step("reconcile")
def reconcile(job: Job, cursor: Any) -> Outcome:
    """Ask for each repo that a complete listing no longer showed: is it gone, renamed, private, disabled, there?"""
    state = dict(cursor or {"after": 0, "done": 0, "gone": 0, "renamed": 0, "still there": 0})
    crawl = Crawl.objects.select_related("job").filter(pk=job.params["crawl"]).first()
    if crawl is None or crawl.approval in ("needed", "refused"):
        raise BadRequest("This crawl's missing repos are not to be looked for.")
    missing = queries.missing_after(crawl)
    if "total" not in state:
        state["total"] = missing.count()
    repos = list(missing.filter(pk__gt=state["after"]).values_list("pk", "name")[:BATCH])
    if not repos:
        return Outcome(store=lineage.wake, cursor=state, progress=_checked(state), done=True)
    client = client_for(job)
    try:
        answers = lookups.look_up(client, [name for _, name in repos])
    except RateLimited:
        client.gate.tell()
        raise
    found, states = [], {}
    for (pk, name), answer in zip(repos, answers, strict=False):
        if answer.facts is not None:
            found.append(answer.facts)
            state["still there" if answer.facts.name == name else "renamed"] += 1
        elif (after := _STATES.get(answer.code)) is not None:
            states[pk] = after
            state["gone"] += 1
    state |= {"after": repos[len(answers) - 1][0], "done": state["done"] + len(answers)}
    return Outcome(
        store=lambda: services.store_checks(job_id=job.pk, found=found, states=states),
        cursor=state,
        progress=_checked(state),
    )


_STATES = {
    RepoMissing.code: RepoState.GONE,  # or private without saying so: the Hub gives one answer for both
    RepoDisabled.code: RepoState.DISABLED,
    "private": RepoState.PRIVATE,
}


def _checked(state: dict[str, Any]) -> dict[str, Any]:
    return {"unit": "models", **{key: value for key, value in state.items() if key != "after"}}


# --- cards ----------------------------------------------------------------------------------------------------------
@step("cards")
def read_cards(job: Job, cursor: Any) -> Outcome:
    """Read the cards of some models: first those without a parent, whose cards may name one, then the most popular."""
    limit = int(job.params["limit"])
    orphans = int(limit * queries.ORPHAN_SHARE)
    state = dict(cursor or {"done": 0, "errors": 0, "after": 0, "part": "orphans"})
    left = min(CARDS, (orphans if state["part"] == "orphans" else limit) - state["done"])
    found = (
        queries.unread_cards(limit=left, after=state["after"], orphans=state["part"] == "orphans") if left > 0 else []
    )
    if not found:
        if state["part"] == "orphans":
            return Outcome(cursor=state | {"part": "popular", "after": 0}, progress=_read(state, limit))
        return Outcome(store=_follow, cursor=state, progress=_read(state, state["done"]), done=True)
    client = client_for(job)
    try:
        paid = lookups.paid(client, found, "resolvers")
    except RateLimited:
        client.gate.tell()
        raise
    answers = lookups.in_threads(lambda repo: _card(client, *repo[1:]), paid)
    read = [answer for answer in answers if isinstance(answer, CardFacts)]
    failed = [answer for answer in answers if isinstance(answer, RootstockError)]
    if failed and not read:
        raise failed[0]
    # One that failed is asked for again by a later job: its revision stays unread.
    state |= {
        "after": paid[-1][0],
        "done": state["done"] + len(paid),
        "errors": state["errors"] + len(failed) + sum(len(card.oddities) for card in read),
    }
    return Outcome(
        store=lambda: services.store_cards(job_id=job.pk, cards=read), cursor=state, progress=_read(state, limit)
    )


def _follow() -> None:
    """What follows from cards that were read: their descent, and what they mean."""
    lineage.wake()
    meanings.wake()


def _card(client: HubClient, repo_id: int, name: str, sha: str, adapts: bool) -> CardFacts | RootstockError:
    revision = sha or "main"
    try:
        card = client.file(name, "README.md", revision=revision, most=cards.CARD_BYTES)
        config = None
        if adapts:
            client.gate.owe("resolvers")
            config = client.file(name, "adapter_config.json", revision=revision, most=cards.CONFIG_BYTES)
    except (RepoGated, RepoMissing, RepoDisabled) as error:
        # Nothing to be read for whoever has no access; asked again when the repo changes.
        return CardFacts(repo_id, revision, None, "", (), ((error.code, str(error)),))
    except RootstockError as error:
        return error
    return cards.card_of(repo_id, revision, card, config)


def _read(state: dict[str, Any], total: int) -> dict[str, Any]:
    return {"done": state["done"], "total": total, "unit": "cards", "errors": state["errors"]}
