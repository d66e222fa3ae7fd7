"""The person in charge in a real browser: starts a crawl, watches it finish, plans the next; light, dark, by phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LAPTOP, PHONE

pytestmark = pytest.mark.slow

PLACES = [
    "/admin/",
    "/admin/crawling/crawl/",
    "/admin/crawling/crawl/add/",
    "/admin/crawling/crawl/1/change/",
    "/admin/crawling/crawl/1/history/",
    "/admin/crawling/schedule/add/",
    "/admin/jobs/job/",
    "/admin/jobs/job/1/change/",
    "/admin/jobs/fault/",
    "/admin/catalog/repo/",
    "/admin/catalog/repo/?q=gpt2",
    "/admin/lineage/evidence/",
    "/admin/lineage/finding/",
]


@pytest.fixture
def admin(page: Page, live_site) -> Page:
    """A page on which the person in charge has signed in, with the password that `make run` made."""
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill((live_site.var / "admin_password").read_text().strip())
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="In charge")).to_be_visible()
    return page


def test_a_crawl_is_started_and_watched_to_its_end(admin):
    admin.get_by_role("link", name="Start a crawl").click()
    admin.get_by_label("Author", exact=True).fill("acme")  # chooses its row by itself
    expect(admin.get_by_role("radio", name="An author")).to_be_checked()
    admin.get_by_role("button", name="Start").click()
    expect(admin.get_by_role("heading", name="All of acme")).to_be_visible()
    loads = admin.evaluate("performance.timeOrigin")
    live = admin.get_by_role("region", name="Progress")
    expect(live.locator(".state")).to_have_text("done", timeout=30_000)
    assert admin.evaluate("performance.timeOrigin") == loads  # without a reload
    expect(live).to_contain_text("models")
    expect(live.get_by_role("button")).to_have_count(0)
    admin.goto("/admin/crawling/crawl/")
    row = admin.get_by_role("row").filter(has_text="All of acme").last
    expect(row).to_contain_text("done")
    expect(row).to_contain_text("100%")


def test_a_crawl_is_planned_and_taken_back(admin):
    admin.get_by_role("link", name="Schedule a crawl").click()
    admin.get_by_label("Model", exact=True).fill("gpt2")
    admin.get_by_label("Day of the week").select_option("Sunday")
    expect(admin.get_by_role("radio", name="Each week")).to_be_checked()
    admin.get_by_role("button", name="Save", exact=True).click()
    row = admin.get_by_role("row").filter(has_text="The family of gpt2")
    expect(row).to_contain_text("each Sunday at 03:00 UTC")
    row.get_by_role("checkbox").check()
    admin.get_by_label("Action:").select_option("turn_off")
    admin.get_by_role("button", name=re.compile("Go|Run")).click()
    expect(row.get_by_alt_text("False")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(theme, admin, accessible):
    admin.emulate_media(color_scheme=theme)
    # axe-core's own, when it tries to read what Django's forms.css imports.
    admin.allowed += ["Applying inline style", "Couldn't load preload assets"]
    for place in PLACES:
        admin.goto(place)
        accessible(admin)
        admin.set_viewport_size(PHONE)
        wide = admin.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{place} is {wide} px too wide for a phone"
        admin.set_viewport_size(LAPTOP)
