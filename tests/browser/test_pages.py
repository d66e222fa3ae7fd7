"""The pages as a visitor meets them: search to model to compare, both themes, phone and laptop, keys alone."""

from __future__ import annotations

import pytest

from tests.browser.conftest import LAPTOP, PHONE

pytestmark = pytest.mark.slow

ADDRESSES = [
    "/",
    "/models/mixer/gpt2-chat-medical",
    "/models/dirty/markup",
    "/models/lost/base-of-old",
    "/compare?a=acme/gpt2-chat-lora&b=acme/gpt2-medical",
    "/compare",
    "/families",
    "/families/gpt2",
    "/children/acme/gpt2-chat",
    "/crawls",
    "/crawls/1",
    "/about",
]


OPEN_ALL = "document.querySelectorAll('details').forEach((details) => (details.open = true))"


def test_every_page_is_accessible_in_both_themes_and_fits_a_phone(page, accessible):
    for address in ADDRESSES:
        page.goto(address)
        page.evaluate(OPEN_ALL)
        page.emulate_media(color_scheme="light")
        accessible(page)
        page.emulate_media(color_scheme="dark")
        accessible(page, ["color-contrast"])
        page.set_viewport_size(PHONE)
        wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{address} is {wide} px too wide for a phone"
        page.set_viewport_size(LAPTOP)


def test_errors_are_accessible_pages(page, accessible):
    page.allowed.append("404")
    for address in ("/models/acme/never-crawled", "/no/such/page"):
        page.goto(address)
        accessible(page)


def test_the_three_answers_are_seen_without_scrolling(page):
    page.goto("/models/chain/step-8")
    for title in ("Where from", "Trained on what", "Mergeable with what"):
        box = page.get_by_role("heading", name=title).locator("xpath=ancestor::section").bounding_box()
        assert box["y"] + box["height"] <= 720


def test_from_the_first_page_to_a_model_its_parent_and_its_evidence(page):
    page.goto("/")
    page.get_by_role("link", name="gpt2", exact=True).last.click()
    page.wait_for_url("**/families/gpt2")
    page.goto("/models/mixer/gpt2-chat-medical")
    page.get_by_text("statements", exact=False).first.click()
    assert page.get_by_role("region", name="Evidence for acme/gpt2-chat").first.is_visible()
    page.locator(".strip a.repo").first.click()
    page.wait_for_url("**/models/gpt2")


def test_children_come_in_place_by_relation_and_on_demand(page):
    page.goto("/models/acme/gpt2-chat")
    page.locator(".relation-tabs a", has_text="merge").click()
    page.locator("#descendants-list tbody", has_text="gpt2-chat-medical").wait_for()
    assert page.url.endswith("/models/acme/gpt2-chat")
    page.locator(".relation-tabs a", has_text="adapter").click()
    page.locator("#descendants-list tbody", has_text="child-13").wait_for()
    page.locator("tr.more a").click()
    page.locator("#descendants-list tbody", has_text="child-00").wait_for()
    assert page.locator("tr.more").count() == 0


def test_the_theme_is_chosen_and_kept(page):
    page.emulate_media(color_scheme="light")
    page.goto("/about")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    switch = page.locator("[data-theme-switch]")
    switch.click()  # light
    switch.click()  # dark
    dark = page.evaluate(ground)
    assert dark != light
    page.goto("/families")
    assert page.evaluate(ground) == dark
    switch.click()  # as the system again
    assert page.evaluate(ground) == light


def test_by_keyboard_alone(page):
    page.goto("/families/gpt2")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.goto("/compare")
    page.get_by_label("One model").fill("GPT2")
    page.get_by_label("Another").press_sequentially("acme/gpt2-chat-l")
    page.locator("datalist option[value='acme/gpt2-chat-lora']").wait_for(state="attached")
    page.get_by_label("Another").fill("acme/gpt2-chat-lora")
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare?a=gpt2&b=acme%2Fgpt2-chat-lora")
    assert page.get_by_text("descends from").is_visible()


def test_tables_sort(page):
    page.goto("/families")
    page.get_by_role("button", name="Models").click()
    figures = [int(text.replace(",", "")) for text in page.locator("tbody td:nth-child(3)").all_inner_texts()]
    assert figures == sorted(figures, reverse=True)
    page.get_by_role("button", name="Models").click()
    assert page.locator("th[aria-sort=ascending]").count() == 1


def test_everything_is_there_without_scripts(browser, live_site):
    context = browser.new_context(base_url=live_site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/models/acme/gpt2-chat")
    page.locator(".relation-tabs a", has_text="merge").click()
    page.wait_for_url("**/children/acme/gpt2-chat?relation=merge")
    assert page.locator("tbody", has_text="gpt2-chat-medical").is_visible()
    page.goto("/")
    page.locator("input[name=q]").fill("medical")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=medical")
    context.close()
