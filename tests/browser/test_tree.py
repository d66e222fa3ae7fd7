"""The tree in a real browser: what a visitor does to it, and what it must never do."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.needs import ROOT
from tests.support.servers import die_with_parent, end, free_port, is_listening, wait_until
from tests.tree.families import HOSTILE

pytestmark = pytest.mark.slow

CHILDREN = 1500
STAR = "/tree/meta-llama/Giant-8B"
MERGED = "/tree/merger/Everything-Everywhere-8B"
ALL_PARENTS = f"{MERGED}?parents=merger/Everything-Everywhere-8B=70"
CHAIN = "/tree/author0/Some-Model-7B-step16-dpo"
DIRTY = "/tree/odd/first-13B"
OPENED = "?open=odd/first-13B&open=odd/left-13B&open=odd/right-13B&open=odd/left-right-13B"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}

OVERLAPS = """() => {
  const all = document.querySelectorAll('#tree-picture .nodes :is(.label, .note, .pill rect:not(.reach))');
  const boxes = [...all]
    .map((e) => [e.closest('[data-key]').dataset.key, e.getBoundingClientRect()]);
  const found = [];
  boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
    const x = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (a !== b && x > 1 && y > 4) found.push([a, b, x, y]);
  }));
  return found;
}"""
PLACES = """() => Object.fromEntries([...document.querySelectorAll('#tree-picture .nodes > g')].filter((e) => {
  const [box, all] = [e, document.getElementById('tree-picture')].map((each) => each.getBoundingClientRect());
  return box.top > all.top && box.bottom < all.bottom;
}).map((e) => [
  e.querySelector('title').textContent,
  e.getAttribute('transform').match(/-?[\\d.]+/g).slice(0, 2).map((n) => Math.round(Number(n)))]))"""


@pytest.fixture(scope="module")
def site(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a web server with the families in its database."""
    var = tmp_path_factory.mktemp("tree")
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROOTSTOCK_", "DJANGO_"))}
    environment |= {"ROOTSTOCK_VAR": str(var), "ROOTSTOCK_STATIC_ROOT": str(var / "static")}
    with (var / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.tree.serve", str(port), str(CHILDREN)],
            cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        wait_until(lambda: is_listening(port) or process.poll() is not None, seconds=90, what="the tree's site")
        assert process.poll() is None, (var / "output.txt").read_text()[-2000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


@pytest.fixture
def visit(site: str, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site and waits for its tree; nothing may be said on the console, no other host called."""
    contexts: list[Any] = []
    faults: list[str] = []

    def opened(path: str, *, size: dict[str, int] | None = None, ready: bool = True, **options: Any) -> Page:
        context = browser.new_context(viewport=size or DESKTOP, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda r: None if r.url.startswith((site, "blob:", "data:")) else faults.append(r.url))
        page.goto(site + path)
        if ready:
            page.wait_for_selector("#tree[data-state=ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def node(page: Page, name: str) -> Locator:
    """A row of the picture by its model's name: what a screen reader says of it begins with that."""
    pattern = re.sub(r"[^\w\s-]", lambda sign: "\\" + sign.group(), name)
    return page.locator("#tree-picture").get_by_role("treeitem", name=re.compile(f"^{pattern}(,|$)"))


def settle(page: Page) -> None:
    """Wait until the picture is whole and at rest."""
    page.wait_for_timeout(30)
    page.wait_for_selector("#tree[data-state=ready]")


def shown(page: Page) -> str:
    return page.inner_text("#tree-shown")


# --- opening --------------------------------------------------------------------------------------------------------
def test_nearest_first_then_more_on_demand(visit: Callable[..., Page]) -> None:
    page = visit(STAR)
    assert shown(page).startswith("21 of ")
    expect(page.locator(".node.group")).to_have_count(4)
    group = page.locator(".node.group.r-quantized")
    assert "5 shown" in (group.text_content() or "")
    page.locator(".node.more.r-quantized").click()
    settle(page)
    assert "25 shown" in (group.text_content() or "")
    authors = page.locator(".node.author.r-quantized")
    assert {authors.nth(i).locator(".label").text_content() for i in range(3)} == {
        "mradermacher",
        "bartowski",
        "TheBloke",
    }
    authors.filter(has_text="TheBloke").locator(".pill").click()
    settle(page)
    assert page.locator(".nodes .node.model .owner", has_text="TheBloke/").count() >= 10
    assert shown(page).startswith(
        ("41 of", "42 of", "43 of", "44 of", "45 of", "46 of", "47 of", "48 of", "49 of", "50 of", "51 of")
    )


def test_what_is_opened_stays_below_the_eye(visit: Callable[..., Page]) -> None:
    page = visit(DIRTY)
    right = node(page, "odd/right-13B")
    before = right.locator(".mark").bounding_box()
    right.locator(".pill.open").click()
    settle(page)
    after = right.locator(".mark").bounding_box()
    assert before
    assert after
    assert abs(before["x"] - after["x"]) < 3
    assert abs(before["y"] - after["y"]) < 3
    expect(node(page, "odd/gated-13B")).to_be_visible()
    right.locator(".pill.shut").click()
    settle(page)
    expect(node(page, "odd/gated-13B")).to_have_count(0)


def test_a_tree_of_thousands_has_elements_for_what_is_seen(visit: Callable[..., Page]) -> None:
    page = visit(f"{STAR}?open=meta-llama/Giant-8B:a700,q300,f300")
    settle(page)
    assert int(shown(page).split()[0].replace(",", "")) > 1300
    assert page.evaluate("document.querySelectorAll('#tree-picture *').length") < 1500
    page.mouse.move(640, 400)
    page.mouse.wheel(0, 4000)
    settle(page)
    assert page.evaluate("document.querySelectorAll('#tree-picture *').length") < 1500


# --- how it is drawn ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [CHAIN, ALL_PARENTS, STAR, DIRTY + OPENED, DIRTY + OPENED + "&axis=time", "/tree/plain/root-1B"],
    ids=["chain", "65 parents", "star", "dirty", "time", "hostile"],
)  # fmt: skip
def test_labels_never_overlap(visit: Callable[..., Page], path: str) -> None:
    page = visit(path)
    settle(page)
    for what in (None, "fit", "out", "out", "in", "in", "in", "in"):
        if what:
            page.click(f"[data-zoom={what}]")
            settle(page)
        assert page.evaluate(OVERLAPS) == [], what
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(300)
    settle(page)
    assert page.evaluate(OVERLAPS) == []


def test_all_65_parents_lead_into_a_merge(visit: Callable[..., Page]) -> None:
    page = visit(MERGED)
    assert page.locator(".node.guest").count() == 8
    page.locator(".node.moreguests").click()
    settle(page)
    page.click("[data-zoom=fit]")
    settle(page)
    assert page.locator(".node.guest").count() == 64
    assert page.locator(".node.ghost").count() == 1


def test_what_is_contradicted_or_not_resolved_looks_so(visit: Callable[..., Page]) -> None:
    page = visit(DIRTY + OPENED)
    assert (
        page.locator("#tree-picture .link.k-contradicted").count() == 3
    )  # the cycle, the younger parent, the model naming itself
    for at in range(3):
        style = (
            page.locator("#tree-picture .link.k-contradicted")
            .nth(at)
            .evaluate("e => [getComputedStyle(e).strokeDasharray, getComputedStyle(e).stroke]")
        )
        assert style == ["6px, 4px", "rgb(184, 78, 0)"]
    assert "hollow" in (node(page, "lost/never-crawled-13B").get_attribute("class") or "")
    assert "dead" in (node(page, "odd/deleted-13B").get_attribute("class") or "")
    node(page, "odd/older-13B").locator(".label").click()
    expect(page.locator("#tree-panel")).to_contain_text("the parent was created after this model")


def test_resting_lights_the_line_to_the_root(visit: Callable[..., Page]) -> None:
    page = visit(CHAIN)
    node(page, "author3/Some-Model-7B-step11-dpo").locator(".label").hover()
    page.wait_for_timeout(200)
    lit = page.locator("#tree-picture.tracing .node.on")
    assert lit.count() == 12
    assert page.locator(".overlay .link.on").count() == 11
    faded = node(page, "author0/Some-Model-7B-step16-dpo").locator(".label")
    assert float(faded.evaluate("e => getComputedStyle(e).opacity")) < 0.5
    page.mouse.move(5, 5)
    expect(lit).to_have_count(0)


# --- finding and filtering ------------------------------------------------------------------------------------------
def test_search_inside_brings_what_was_not_loaded(visit: Callable[..., Page]) -> None:
    page = visit(STAR)
    name = "Giant-8B-GGUF-1491"
    expect(page.locator(".node", has_text=name)).to_have_count(0)
    page.fill("#tree-find", "gguf-1491")
    page.wait_for_selector("#tree-found [role=option] mark")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".node.chosen", has_text=name)).to_be_visible()
    expect(page.locator("#tree-panel")).to_contain_text(name)
    assert "show=" in wait_for_address(page, "show=")


def wait_for_address(page: Page, part: str) -> str:
    page.wait_for_function("part => location.search.includes(part)", arg=part)
    return page.url


def test_filters_hide_what_does_not_pass(visit: Callable[..., Page]) -> None:
    page = visit(STAR)
    page.locator("label.chip", has_text="quantized").click()
    page.locator(".tree-more summary").first.click()
    page.fill("[name=licence]", "mit")
    page.keyboard.press("Tab")
    settle(page)
    models = page.locator(".nodes .node.model:not(.focus)")
    assert models.count() == 5
    assert all("r-quantized" in (models.nth(i).get_attribute("class") or "") for i in range(5))
    wait_for_address(page, "licence=mit")
    page.click("[data-view=table]")
    cells = page.locator("#tree-table tbody tr td:nth-child(8)").all_inner_texts()
    assert cells[1:] == ["mit"] * 5
    page.click("[data-view=tree]")
    page.locator(".tree-more summary").first.click()
    page.fill("[name=author]", "nobody-at-all")
    page.keyboard.press("Tab")
    expect(page.locator(".node.none")).to_contain_text("passes the filters")
    page.click("[data-reset]")
    settle(page)
    assert shown(page).startswith("21 of")


def test_time_goes_back_with_the_slider(visit: Callable[..., Page]) -> None:
    page = visit(f"{STAR}?open=meta-llama/Giant-8B:q25")
    slider = page.locator("#tree-until")
    everything = page.locator(".nodes .node.model").count()
    days = int(slider.get_attribute("max") or 0)
    slide = "(e, to) => { e.value = to; e.dispatchEvent(new Event('input', {bubbles: true})); }"
    slider.evaluate(slide, "0")
    page.wait_for_timeout(400)
    early = page.locator(".nodes .node.model").count()
    assert 1 < early < everything
    slider.evaluate("e => e.dispatchEvent(new Event('change', {bubbles: true}))")
    wait_for_address(page, "until=2023-03-0")
    settle(page)
    assert "pass the filters" in shown(page)
    slider.evaluate(slide, str(days))
    slider.evaluate("e => e.dispatchEvent(new Event('change', {bubbles: true}))")
    settle(page)
    assert "of 1,6" in shown(page) or "of 1,5" in shown(page)
    page.check("#tree-axis")
    settle(page)
    assert page.locator(".axis text").count() >= 1


def test_a_path_is_shown_between_two_models(visit: Callable[..., Page]) -> None:
    page = visit(DIRTY)
    page.click("#tree-path summary")
    page.fill("#tree-from", "odd/orphan-13B")
    page.fill("#tree-to", "odd/gated-13B")
    page.click("[data-path-show]")
    expect(page.locator("#tree-way")).to_have_text("4 steps, through odd/first-13B.")
    settle(page)
    lit = page.locator("#tree-picture .node.on")
    assert sorted(lit.nth(i).locator(".label").text_content() for i in range(lit.count())) == [
        "odd/deleted-13B", "odd/first-13B", "odd/gated-13B", "odd/orphan-13B", "odd/right-13B",
    ]  # fmt: skip
    page.fill("#tree-to", "chain/root-7B")
    page.click("[data-path-show]")
    expect(page.locator("#tree-way")).to_have_text("They have no ancestor in common.")


# --- the address ----------------------------------------------------------------------------------------------------
def test_the_address_brings_the_same_picture_back(visit: Callable[..., Page]) -> None:
    page = visit(STAR)
    page.locator(".node.group.r-merge .pill").click()
    settle(page)
    page.locator(".node.more.r-adapter").click()
    settle(page)
    page.locator(".node.author.r-quantized, .node.model .pill.open").first.click()
    settle(page)
    page.click("[data-zoom=in]")
    page.mouse.move(700, 400)
    page.mouse.wheel(0, -150)
    settle(page)
    page.mouse.move(5, 5)
    wait_for_address(page, "c=")
    page.wait_for_timeout(500)
    before, address = page.evaluate(PLACES), page.url
    page.reload()
    page.wait_for_selector("#tree[data-state=ready]")
    settle(page)
    after = page.evaluate(PLACES)
    assert page.url == address
    assert before.keys() == after.keys()
    for name, (x, y) in before.items():
        assert abs(after[name][0] - x) <= 3, name
        assert abs(after[name][1] - y) <= 3, name


def test_every_choice_stands_in_the_address(visit: Callable[..., Page]) -> None:
    page = visit(
        f"{DIRTY}{OPENED}&axis=time&legend=1&view=tree&at=odd/left-13B&from=odd/left-13B&to=odd/gated-13B&findings=1&size=9b-20b"
    )
    assert page.is_checked("#tree-axis")
    assert page.is_visible("#tree-legend")
    expect(page.locator("#tree-panel h2")).to_have_text("odd/left-13B")
    assert page.input_value("#tree-to") == "odd/gated-13B"
    assert page.input_value("[name=size]") == "9b-20b"
    assert page.locator(".overlay .link.on").count() >= 1


# --- files ----------------------------------------------------------------------------------------------------------
def saved(page: Page, kind: str, folder: Path) -> bytes:
    if not page.locator("[data-save=svg]").is_visible():
        page.locator(".tree-save summary").click()
    with page.expect_download() as waiting:
        page.click(f"[data-save={kind}]")
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    "path",
    ["/tree/plain/root-1B", DIRTY + OPENED + "&axis=time", ALL_PARENTS],
)
def test_the_picture_can_be_taken_along(visit: Callable[..., Page], tmp_path: Path, path: str) -> None:
    page = visit(path)
    text = saved(page, "svg", tmp_path)
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "path", "text", "tspan", "title", "rect", "circle", "line"}
    attributes = {key for element in root.iter() for key in element.attrib}
    assert not {key for key in attributes if key.startswith("on") or key in {"style", "class", "href"}}
    assert b"var(--" not in text
    assert b"url(" not in text
    words = "".join(root.itertext())
    for word in (
        ("relation not said", "contradicted", "recovered from weights")
        if "plain" not in path
        else ("alert(2)", "CDATA[x")
    ):
        assert word in words
    picture = saved(page, "png", tmp_path)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (2 * int(root.attrib["width"]), 2 * int(root.attrib["height"]))


def test_a_saved_picture_is_drawn_alone(visit: Callable[..., Page], browser: Browser, tmp_path: Path) -> None:
    page = visit(DIRTY + OPENED)
    (tmp_path / "alone.svg").write_bytes(saved(page, "svg", tmp_path))
    alone = browser.new_page()
    alone.goto((tmp_path / "alone.svg").as_uri())
    colours = alone.evaluate(
        "() => new Set([...document.querySelectorAll('path')].map((p) => getComputedStyle(p).stroke)).size"
    )
    assert colours >= 4
    alone.close()


def test_data_can_be_taken_along(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit(DIRTY)
    page.locator(".tree-save summary").click()
    for kind in ("GraphML", "JSON", "Mermaid", "DOT", "CSV"):
        with page.expect_download() as waiting:
            page.locator(".tree-save a.chip", has_text=re.compile(f"^{kind}$", re.IGNORECASE)).click()
        assert waiting.value.suggested_filename.startswith("odd-first-13B.")


# --- table, keyboard, phone -----------------------------------------------------------------------------------------
def test_the_table_says_what_the_picture_says(visit: Callable[..., Page]) -> None:
    page = visit(DIRTY + OPENED)
    drawn = set(
        page.locator(".nodes .node.model").evaluate_all(
            "all => all.map((e) => e.querySelector('title').textContent.split(',')[0])"
        )
    )
    page.click("[data-view=table]")
    names = page.locator("#tree-table tbody th").all_inner_texts()
    assert set(names) == drawn
    page.locator("#tree-table thead button", has_text="Created").click()
    created = page.locator("#tree-table tbody tr").first.inner_text()
    page.locator("#tree-table thead button", has_text="Created").click()
    assert page.locator("#tree-table tbody tr").first.inner_text() != created
    expect(page.locator("#tree-table th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    wait_for_address(page, "sort=-created")
    page.locator("#tree-table tbody tr", has_text="odd/older-13B").locator("button").click()
    expect(page.locator(".node.chosen", has_text="odd/older-13B")).to_be_visible()


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.querySelector('title').textContent")).split(",")[0]


def test_the_keyboard_walks_and_opens(visit: Callable[..., Page]) -> None:
    page = visit(DIRTY)
    page.locator("#tree-picture [tabindex='0']").focus()
    assert focused(page) == "odd/first-13B"
    for key, name in (
        ("ArrowLeft", "lost/never-crawled-13B"),
        ("ArrowRight", "odd/first-13B"),
        ("ArrowRight", "odd/left-13B"),
        ("ArrowDown", "odd/right-13B"),
        ("ArrowUp", "odd/left-13B"),
        ("ArrowUp", "odd/deleted-13B"),
        ("ArrowDown", "odd/left-13B"),
    ):
        page.keyboard.press(key)
        assert focused(page) == name, key
    page.keyboard.press("Enter")
    expect(node(page, "odd/nowhere-13B")).to_be_visible()
    assert focused(page) == "odd/left-13B"
    assert node(page, "odd/left-13B").get_attribute("aria-expanded") == "true"
    assert page.locator("#tree-picture [role=treeitem][tabindex='0']").count() == 1
    page.keyboard.press(" ")
    expect(page.locator("#tree-panel h2")).to_have_text("odd/left-13B")
    page.keyboard.press("Escape")
    expect(page.locator("#tree-panel")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(node(page, "odd/nowhere-13B")).to_have_count(0)
    page.keyboard.press("Home")
    assert focused(page) == "lost/never-crawled-13B"
    page.keyboard.press("0")
    settle(page)
    assert focused(page) == "lost/never-crawled-13B"


def test_a_phone_can_do_it_too(visit: Callable[..., Page]) -> None:
    page = visit(DIRTY, size=PHONE, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    node(page, "odd/left-13B").locator(".label").tap()
    expect(page.locator("#tree-panel h2")).to_have_text("odd/left-13B")
    page.locator("#tree-panel [data-does=open]").tap()
    expect(node(page, "odd/nowhere-13B")).to_have_count(1)
    page.locator("#tree-panel [data-does=close]").tap()
    expect(page.locator("#tree-panel")).to_be_hidden()


def test_without_scripts_there_is_the_table(visit: Callable[..., Page]) -> None:
    page = visit(DIRTY, ready=False, java_script_enabled=False)
    assert page.is_visible("#tree-table")
    assert not page.is_visible(".tree-stage")
    page.check("input[name=relation][value=finetune]", force=True)
    page.locator(".tree-more summary").first.click()
    page.click("text=Apply")
    assert "relation=finetune" in page.url
    assert page.locator("#tree-table tbody tr").count() >= 4


@pytest.mark.parametrize(
    "path", [DIRTY + OPENED + "&legend=1&at=odd/left-13B", STAR + "?view=table"], ids=["tree", "table"]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_stands_in_the_way(visit: Callable[..., Page], path: str, scheme: str) -> None:
    page = visit(path, color_scheme=scheme)
    settle(page)
    page.evaluate((ROOT / "tests" / "browser" / "vendor" / "axe.min.js").read_text())
    found = page.evaluate("async () => (await axe.run(document.getElementById('tree'))).violations")
    grave = [
        (each["id"], [n["html"][:160] for n in each["nodes"][:3]])
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
    assert grave == [], json.dumps(grave, indent=1)


def test_hostile_names_are_names(visit: Callable[..., Page]) -> None:
    page = visit("/tree/plain/root-1B")
    texts = page.locator(".nodes .label").all_text_contents()
    assert any("<script>alert(2)</script>" in text for text in texts)
    assert not any(re.search("[\u202a-\u202e\u0007]", text) for text in texts)
    page.fill("#tree-find", "script")
    page.wait_for_selector("#tree-found [role=option]")
    node(page, HOSTILE[0]).locator(".label").click()
    expect(page.locator("#tree-panel h2")).to_contain_text("<script>alert(2)</script>")
    page.click("[data-view=table]")
    assert page.locator("#tree-table tbody img, #tree-table tbody script").count() == 0
