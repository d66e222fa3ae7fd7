"""The pages over a crawled family on both databases."""

from __future__ import annotations

import pytest

from tests.factories import crawl_rows, family_rows


@pytest.mark.both_databases
@pytest.mark.django_db
def test_every_page_answers_on_both_databases(client):
    crawl = crawl_rows(family_rows())
    for address in (
        "/",
        "/live",
        "/families",
        "/families/gpt2",
        "/models/gpt2",
        "/models/mixer/gpt2-chat-medical",
        "/models/dirty/local-path",
        "/models/lost/base-of-old",
        "/models/lone/model",
        "/children/acme/gpt2-chat?relation=adapter",
        "/compare?a=acme/gpt2-chat-lora&b=acme/gpt2-medical",
        "/crawls",
        f"/crawls/{crawl.pk}",
    ):
        assert client.get(address).status_code == 200, address
    assert client.get("/models/GPT2").headers["Location"] == "/models/gpt2"
    assert client.get("/models/no/such").status_code == 404
