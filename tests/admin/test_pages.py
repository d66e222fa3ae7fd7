"""Every page of the admin: it answers, it escapes, it holds to the policy, and it never scans a large table."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin.conftest import NASTY

LISTS = [
    "crawling/crawl",
    "crawling/schedule",
    "crawling/watermark",
    "crawling/budget",
    "jobs/job",
    "jobs/fault",
    "catalog/repo",
    "catalog/alias",
    "catalog/term",
    "lineage/evidence",
    "lineage/edge",
    "lineage/finding",
    "lineage/node",
    "searching/word",
    "auth/user",
]
ROWS = {
    "crawling/crawl": "crawl",
    "jobs/job": "job",
    "jobs/fault": "fault",
    "catalog/repo": "parent",
    "catalog/alias": "alias",
    "catalog/term": "term",
    "lineage/evidence": "evidence",
    "lineage/edge": "edge",
    "lineage/finding": "finding",
    "lineage/node": "node",
}
LARGE = ["catalog_repo", "lineage_evidence", "lineage_edge", "lineage_finding", "lineage_node", "jobs_fault"]


def obeys_the_policy(page: str) -> None:
    """No script or style in the page itself, nothing from elsewhere, nothing hostile unescaped."""
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page)
    assert not re.search(r"<style\b|\sstyle=|\son\w+=\"", page)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    assert "javascript:" not in re.sub(r">[^<]*<", "><", page)
    assert "<script>alert" not in page


@pytest.mark.parametrize("place", LISTS)
def test_lists(place, admin, garden):
    answer = admin.get(f"/admin/{place}/")
    assert answer.status_code == 200
    assert "script-src" in answer.headers["Content-Security-Policy"]
    obeys_the_policy(answer.content.decode())


@pytest.mark.parametrize("place", ROWS)
def test_rows(place, admin, garden):
    answer = admin.get(f"/admin/{place}/{garden[ROWS[place]].pk}/change/")
    assert answer.status_code == 200
    obeys_the_policy(answer.content.decode())


@pytest.mark.parametrize("address", ["/admin/", "/admin/crawling/crawl/add/", "/admin/crawling/schedule/add/"])
def test_other_pages(address, admin, garden):
    answer = admin.get(address)
    assert answer.status_code == 200
    obeys_the_policy(answer.content.decode())


def test_the_door(client, db):
    obeys_the_policy(client.get("/admin/login/").content.decode())


@pytest.mark.parametrize("place", [place for place in ROWS if place not in ("crawling/crawl", "jobs/job")])
def test_what_was_learned_cannot_be_changed_by_hand(place, admin, garden):
    row = garden[ROWS[place]]
    for address in (f"/admin/{place}/add/", f"/admin/{place}/{row.pk}/delete/"):
        assert admin.get(address).status_code == 403
    assert admin.post(f"/admin/{place}/{row.pk}/change/", {"name": "other"}).status_code == 403
    assert b'name="_save"' not in admin.get(f"/admin/{place}/{row.pk}/change/").content


@pytest.mark.parametrize(
    ("place", "words", "found"),
    [
        ("lineage/evidence", "me/tuned", True),
        ("lineage/evidence", "ORG/Base", True),
        ("lineage/evidence", "org/old-base", True),
        ("lineage/evidence", "nobody/nothing", False),
        ("lineage/edge", "org/base", True),
        ("lineage/edge", "me/tuned", True),
        ("lineage/finding", "me/tuned", True),
        ("lineage/finding", "org/base", False),
        ("lineage/node", "org/base", True),
        ("catalog/alias", "org/OLD-base", True),
        ("catalog/alias", "org/base", False),
        ("searching/word", "base", True),
    ],
)
def test_searching_by_a_name(place, words, found, admin, garden):
    page = admin.get(f"/admin/{place}/", {"q": words}).content.decode()
    assert (' id="result_list"' in page) is found


@pytest.mark.parametrize(
    "place", ["catalog/repo", "lineage/evidence", "lineage/edge", "lineage/finding", "lineage/node"]
)
@pytest.mark.parametrize("query", [{}, {"q": "org/base"}, {"q": NASTY}, {"p": "2"}])
def test_large_tables_are_neither_counted_nor_scanned(place, query, admin, garden):
    with CaptureQueriesContext(connection) as captured:
        assert admin.get(f"/admin/{place}/", query).status_code in (200, 302)
    table = place.replace("/", "_")
    for statement in (row["sql"] for row in captured):
        if f'FROM "{table}"' not in statement:
            continue
        assert "LIKE" not in statement.upper() or "ESCAPE" not in statement, statement
        if "COUNT(" in statement:
            assert "LIMIT 10000" in statement, statement


@pytest.mark.parametrize(
    "address",
    [
        "/admin/catalog/repo/",
        "/admin/lineage/evidence/",
        "/admin/lineage/edge/",
        "/admin/lineage/finding/",
        "/admin/lineage/finding/?code=wrong_case",
        "/admin/jobs/fault/",
        "/admin/catalog/term/",
        "/admin/searching/word/",
    ],
)
def test_lists_follow_an_index_instead_of_sorting(address, admin, garden):
    with CaptureQueriesContext(connection) as captured:
        admin.get(address)
    table = "_".join(address.split("/")[2:4])
    lists = [row["sql"] for row in captured if f'FROM "{table}"' in row["sql"] and "ORDER BY" in row["sql"]]
    assert lists
    for statement in lists:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + re.sub(r" LIMIT \d+$", "", statement) + " LIMIT 50")
            plan = " / ".join(row[3] for row in cursor.fetchall())
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan, plan


def test_a_capped_count_stops_at_its_cap(db):
    from hubapp.jobs import readonly
    from hubapp.searching.models import Word

    Word.objects.bulk_create([Word(word=f"w{number}") for number in range(30)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readonly, "COUNTED", 20)
        pages = readonly.CappedPaginator(Word.objects.order_by("word"), 10)
        assert (pages.count, pages.num_pages) == (20, 2)


def test_the_rooms_stand_in_the_order_of_need(admin, garden):
    page = admin.get("/admin/").content.decode()
    places = [page.index(f'href="/admin/{place}/"') for place in LISTS]
    first = [place.split("/")[0] for _, place in sorted(zip(places, LISTS, strict=True))]
    assert list(dict.fromkeys(first)) == ["crawling", "jobs", "catalog", "lineage", "searching", "auth"]
