"""Persons who come to the admin, and something for them to look at."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from hubapp.catalog.models import Alias, Repo, RepoState, Term
from hubapp.crawling import services as crawling
from hubapp.crawling.models import Crawl
from hubapp.jobs import services as jobs
from hubapp.jobs.models import Job
from hubapp.lineage.models import Edge, Evidence, Finding, Node
from hubapp.searching.models import Word

NASTY = '<script>alert(1)</script>"\'=HYPERLINK("x")\u202e'


def person(name: str, *permissions: str, **fields) -> User:
    user = User.objects.create_user(name, **fields)
    wanted = [permission.split(".") for permission in permissions]
    for room, codename in wanted:
        user.user_permissions.add(Permission.objects.get(content_type__app_label=room, codename=codename))
    return user


@pytest.fixture
def admin(client, db):
    """A client signed in as the person in charge."""
    client.force_login(User.objects.create_superuser("gardener"))
    return client


@pytest.fixture
def crawl(db) -> Crawl:
    """A crawl that is running, with rows it could not use."""
    crawl = crawling.start(scope="top", argument="5000")
    Job.objects.filter(pk=crawl.job_id).update(
        state="running",
        lease_until=timezone.now() + timedelta(hours=1),
        started_at=timezone.now() - timedelta(seconds=40),
        progress={"done": 2000, "total": 5000, "unit": "models", "pages": 2, "models": 2000, "errors": 2, "rate": 50},
    )
    jobs.record_fault(job=crawl.job, subject=f"org/{NASTY}", code="input.row", message="no id", excerpt=f"{{{NASTY}")
    jobs.record_fault(job=crawl.job, subject="org/other", code="input.card", message="too deep")
    crawl.job.refresh_from_db()
    return crawl


@pytest.fixture
def garden(crawl) -> dict[str, object]:
    """One row of everything, some of it hostile."""
    now = timezone.now()
    licence = Term.objects.create(kind="licence", value=NASTY)
    parent = Repo.objects.create(
        name="org/base", folded="org/base", state=RepoState.LISTED, rank=1, downloads=10, licence=licence,
        licence_link="javascript:alert(1)", card_excerpt=NASTY, tags=[NASTY],
    )  # fmt: skip
    child = Repo.objects.create(name="me/tuned", folded="me/tuned", state=RepoState.LISTED, rank=2)
    Alias.objects.create(folded="org/old-base", name="org/old-base", repo=parent)
    Word.objects.create(word="base", count=1)
    return {
        "crawl": crawl,
        "job": crawl.job,
        "fault": crawl.job.faults.first(),
        "parent": parent,
        "child": child,
        "alias": parent.aliases.get(),
        "term": licence,
        "evidence": Evidence.objects.create(
            child=child, source=5, text=NASTY, target="org/base", first_seen=now, last_seen=now
        ),
        "edge": Edge.objects.create(parent=parent, child=child, relation=1, sources=1 << 5, primary=True, rank=2),
        "node": Node.objects.create(repo=parent, root=parent, descendants=1),
        "finding": Finding.objects.create(repo=child, code="wrong_case", subject=NASTY, first_seen=now),
    }
