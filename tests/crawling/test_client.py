"""The client against a hub that misbehaves in every way there is."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from samplehub.running import Running
from tests.crawling.conftest import row
from workers.crawling.client import HubClient
from workers.crawling.gate import Gate, Unlimited
from workers.crawling.listing import Listing
from workers.crawling.outbound import Policy, under
from workers.errors import (
    BadRequest,
    CursorExpired,
    HostRefused,
    RateLimited,
    RemoteGarbled,
    RemoteUnavailable,
    RepoDisabled,
    RepoMissing,
    TooLarge,
)

Make = Callable[..., Running]
ROWS = [row(f"org/model-{n}", n) for n in range(1, 24)]


@pytest.fixture
def hub(make_hub: Make) -> Running:
    return make_hub([dict(r) for r in ROWS])


@pytest.fixture
def client(hub: Running, monkeypatch: pytest.MonkeyPatch) -> HubClient:
    monkeypatch.setattr("workers.crawling.client.PAUSE", 0.01)
    return HubClient(hub.url)


def read_all(client: HubClient, limit: int, **query: str) -> list[str]:
    listing = Listing(client, client.listing_url(limit=limit, **query))
    names: list[str] = []
    while listing.at is not None:
        names += [fact.name for fact in listing.next().facts]
    listing.close()
    return names


def test_a_listing_is_followed_to_its_end(client: HubClient) -> None:
    names = read_all(client, 5, sort="createdAt")
    assert names == [r["id"] for r in reversed(ROWS)]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500", RemoteUnavailable),
        ("502", RemoteUnavailable),
        ("504", RemoteUnavailable),
        ("hang;seconds=0.05", RemoteUnavailable),
        ("reset", RemoteUnavailable),
        ("cut", RemoteUnavailable),
        ("truncate", RemoteGarbled),
        ("invalid_json", RemoteGarbled),
        ("wrong_type", RemoteGarbled),
        ("429;reset=7", RateLimited),
        ("foreign_link", HostRefused),
        ("foreign_redirect", HostRefused),
    ],
)
def test_each_fault_has_its_error(hub: Running, client: HubClient, fault: str, error: type[Exception]) -> None:
    hub.faults(fault)
    with pytest.raises(error):
        client.page(client.listing_url(sort="createdAt", limit=5))
    assert hub.state()["foreign"] == []  # nothing was sent to the other host


@pytest.mark.parametrize("fault", ["500", "cut", "truncate", "wrong_type", "foreign_link"])
def test_a_passing_fault_is_overcome(hub: Running, client: HubClient, fault: str) -> None:
    hub.faults(f"{fault};times=2")
    assert len(client.page(client.listing_url(sort="createdAt", limit=5)).rows) == 5


def test_a_wait_asked_for_is_told(hub: Running, client: HubClient) -> None:
    hub.faults("429;reset=7")
    with pytest.raises(RateLimited) as caught:
        client.page(client.listing_url(sort="createdAt"))
    assert 7 <= caught.value.wait <= 9


def test_expired_cursors_are_told_from_bad_requests(hub: Running, client: HubClient) -> None:
    first = client.page(client.listing_url(sort="createdAt", limit=5))
    assert first.next_url is not None
    hub.faults("expired_cursor")
    with pytest.raises(CursorExpired):
        client.page(first.next_url)
    hub.faults()
    with pytest.raises(BadRequest):
        client.page(client.listing_url(sort="nonsense"))


def test_models_renamed_missing_disabled_private(hub: Running, client: HubClient) -> None:
    assert client.model("org/model-1")["_id"] == ROWS[0]["_id"]
    hub.change("rename", "org/model-1", to="new/name")
    assert client.model("org/model-1")["id"] == "new/name"
    with pytest.raises(RepoMissing):
        client.model("org/none")
    hub.change("disable", "org/model-2")
    with pytest.raises(RepoDisabled):
        client.model("org/model-2")
    hub.change("make_private", "org/model-3")
    with pytest.raises(RepoMissing):
        client.model("org/model-3")


def test_a_page_over_the_cap_is_not_taken(client: HubClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.crawling.client.PAGE_BYTES", 1000)
    with pytest.raises(TooLarge):
        client.page(client.listing_url(sort="createdAt"))


def test_an_answer_that_drips_is_given_up(hub: Running, client: HubClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.crawling.client.DEADLINE", 0.3)
    monkeypatch.setattr("workers.crawling.client.TRIES", 1)
    hub.faults("bandwidth;bytes_per_s=3000")
    began = time.monotonic()
    with pytest.raises(RemoteUnavailable):
        client.page(client.listing_url(sort="createdAt"))
    assert time.monotonic() - began < 3


def test_nobody_listening() -> None:
    with pytest.raises(RemoteUnavailable):
        HubClient("http://127.0.0.1:9").page("http://127.0.0.1:9/api/models")


def test_files_are_read_up_to_a_cap(make_hub: Make) -> None:
    hub = make_hub(content="collection")
    client = HubClient(hub.url)
    name = next(r["id"] for r in client.page(client.listing_url(sort="createdAt")).rows if r.get("cardData"))
    card = client.file(name, "README.md", most=50)
    assert card is not None
    assert len(card) == 50
    assert client.file(name, "no-such-file", most=50) is None


# --- who gets what --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "admitted"),
    [
        ("https://huggingface.co/api/models", True),
        ("https://HuggingFace.co:443/x", True),
        ("https://cdn-lfs.hf.co/x", True),
        ("http://huggingface.co/api/models", False),
        ("http://cdn-lfs.hf.co/x", False),
        ("https://huggingface.co.evil.org/", False),
        ("https://huggingface.co@evil.org/", False),
        ("https://evil.org/huggingface.co", False),
        ("https://cdn-lfs.hf.co:8443/x", False),
        ("https://user:secret@huggingface.co/x", True),
        ("ftp://huggingface.co/x", False),
        ("//evil.org/x", False),
        ("https://[::1", False),
    ],
)
def test_the_list_of_hosts(url: str, admitted: bool) -> None:
    assert Policy("https://huggingface.co", ("cdn-lfs.hf.co",)).admits(url) is admitted


def test_the_token_goes_to_the_endpoint_over_https_alone() -> None:
    policy = Policy("https://huggingface.co", ("cdn-lfs.hf.co",))
    assert policy.carries_token("https://huggingface.co/api/models")
    assert not policy.carries_token("http://huggingface.co/api/models")
    assert not policy.carries_token("https://cdn-lfs.hf.co/x")
    assert not Policy("http://127.0.0.1:80").carries_token("http://127.0.0.1:80/api/models")


def test_a_loopback_hub_never_sees_the_token(hub: Running) -> None:
    client = HubClient(hub.url, token="sample-owner")
    client.page(client.listing_url(sort="createdAt"))  # a token that arrived would make this hub answer as "owner"
    hub.change("make_private", "org/model-1")
    with pytest.raises(RepoMissing):
        client.model("org/model-1")
    assert "sample-owner" not in repr(client)


def test_the_shared_session_sends_nothing_without_a_list_of_hosts(hub: Running) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import get_session

    with pytest.raises(HostRefused):
        get_session().get(hub.url)
    with under(Policy(hub.url)):
        assert len(list(HfApi(endpoint=hub.url).list_models(sort="created_at", limit=3))) == 3
        with pytest.raises(HostRefused):
            get_session().get("http://127.0.0.2:9/")
    hub.faults("foreign_redirect")
    with under(Policy(hub.url)), pytest.raises(HostRefused):
        get_session().get(f"{hub.url}/api/models")
    assert hub.state()["foreign"] == []


# --- the allowance --------------------------------------------------------------------------------------------------
def test_a_limit_is_used_and_never_overdrawn(make_hub: Make) -> None:
    from tests.crawling.test_ledger import MemoryLedger

    hub = make_hub([dict(r) for r in ROWS], rate_limit="api=10/2")
    client = HubClient(hub.url, gate=Gate(MemoryLedger()))
    listing = Listing(client, client.listing_url(sort="createdAt", limit=1))
    pages, end = 0, time.monotonic() + 20
    while listing.at is not None and time.monotonic() < end:
        try:
            listing.next()
            pages += 1
        except RateLimited as error:
            time.sleep(error.wait)
            url = listing.at
            listing = Listing(client, url) if url else listing
    assert pages == 23
    counts = hub.state()["counts"]
    assert counts.get("rate limited", 0) == 0


def test_unlimited_hubs_are_not_held_up(hub: Running) -> None:
    client = HubClient(hub.url, gate=Gate(Unlimited()))
    for _ in range(30):
        client.pay()
        client.model("org/model-1")
