"""A real browser on the real site: the whole stack as ``make run`` starts it, over a family that was crawled.

``live_site.url`` is its address. ``page`` is a new browser page that fails its test when it met an error in the
console, an exception, or a request that would leave this host. ``accessible(page)`` runs axe-core.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.factories import family_rows
from tests.support.servers import wait_until
from tests.support.site import Site, running_site

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAPTOP = {"width": 1280, "height": 720}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Site]:
    """The site with ``tests.factories.family_rows`` crawled and its trees grown."""
    folder = tmp_path_factory.mktemp("site")
    rows = folder / "family.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in family_rows()))
    with running_site(folder / "var", environment={"CONTENT": f"replay:{rows}"}) as site:
        wait_until(lambda: _is_grown(site), seconds=60, what="the first crawl with its trees")
        yield site


def _is_grown(site: Site) -> bool:
    status, text = site.get("/families/gpt2")
    return status == 200 and "Growth" in text and "hx-trigger" not in site.get("/live")[1]


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for the session."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, live_site: Site) -> Iterator[BrowserContext]:
    """A visitor without any past, on a laptop; addresses are relative to the site."""
    context = browser.new_context(base_url=live_site.url, viewport=LAPTOP, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, live_site: Site) -> Iterator[Page]:
    """A page whose faults fail the test. ``page.allowed`` are pieces of console errors that a test provokes."""
    page = context.new_page()
    faults: list[str] = []
    page.allowed = []  # type: ignore[attr-defined]
    page.on("console", lambda message: faults.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: _note_foreign(request.url, live_site, faults))
    yield page
    unexpected = [fault for fault in faults if not any(piece in fault for piece in page.allowed)]  # type: ignore[attr-defined]
    assert not unexpected


def _note_foreign(url: str, site: Site, faults: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"data", "blob"} and f"{parts.scheme}://{parts.netloc}" != site.url:
        faults.append(f"a request left the host: {url}")


@pytest.fixture(scope="session")
def accessible() -> Callable[..., None]:
    """``accessible(page)`` fails when axe-core finds a serious or critical fault on a page as it is now.

    ``rules`` are the ids of those to hold it to; all by default.
    """
    source = AXE.read_text()

    def check(page: Page, rules: list[str] | None = None) -> None:
        page.evaluate(source)
        options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
        found = page.evaluate("(options) => axe.run(document, options)", options)
        grave = [
            f"{fault['id']} ({fault['impact']}): {fault['help']}: "
            + "; ".join(str(node["target"]) + " " + node["failureSummary"] for node in fault["nodes"][:3])
            for fault in found["violations"]
            if fault["impact"] in {"serious", "critical"}
        ]
        assert not grave, "\n".join(grave)

    return check
