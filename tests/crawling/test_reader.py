"""Reading processes: the same facts, the same errors, and no end of the worker that outlasts them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import orjson
import pytest

from samplehub.generator import Generated
from samplehub.running import Running
from tests.crawling.conftest import row
from workers.crawling import reader, rows
from workers.crawling.client import HubClient
from workers.crawling.gate import Gate
from workers.crawling.listing import Listing
from workers.errors import HostRefused, RateLimited, RemoteGarbled, RemoteUnavailable, RootstockError

Make = Callable[..., Running]


def test_facts_come_back_as_they_were() -> None:
    generated = Generated(300, 3)
    page = rows.parse(orjson.dumps([generated.row(number) for number in range(300)]))
    page.append({"id": "a/b", "createdAt": "1969-12-31T23:59:59.123456Z", "downloads": "x", "tags": [1]})
    facts = rows.read(page)[0]
    assert len(facts) == 301
    assert [reader.unpacked(reader.packed(fact)) for fact in facts] == facts


def test_a_listing_read_elsewhere_is_the_same(make_hub: Make) -> None:
    hub = make_hub([row(f"org/model-{n}", n) for n in range(1, 30)])
    client = HubClient(hub.url)
    names = []
    listing = Listing(client, client.listing_url(sort="createdAt", limit=7), read=reader.read_page)
    while listing.at is not None:
        names += [fact.name for fact in listing.next().facts]
    listing.close()
    assert names == [f"org/model-{n}" for n in range(29, 0, -1)]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500", RemoteUnavailable),
        ("invalid_json", RemoteGarbled),
        ("foreign_link", HostRefused),
        ("429;reset=9", RateLimited),
    ],
)  # fmt: skip
def test_errors_come_back_as_they_were(make_hub: Make, fault: str, error: type[RootstockError]) -> None:
    hub = make_hub([row(f"org/model-{n}", n) for n in range(1, 30)])
    hub.faults(fault)
    client = HubClient(hub.url)
    with pytest.raises(error) as caught:
        reader.read_page(client, client.listing_url(sort="createdAt", limit=7), lambda _: None)
    if isinstance(caught.value, RateLimited):
        assert 9 <= caught.value.wait <= 11
    assert hub.state()["foreign"] == []


def test_what_it_hears_of_the_limit_reaches_the_gate(make_hub: Make) -> None:
    from tests.crawling.test_ledger import MemoryLedger

    hub = make_hub([row("org/model", 1)], rate_limit="api=50/60")
    ledger = MemoryLedger()
    client = HubClient(hub.url, gate=Gate(ledger))
    client.pay()
    reader.read_page(client, client.listing_url(sort="createdAt"), lambda _: None)
    client.pay()
    assert ledger.row.quota == 50


def test_a_reader_that_was_killed_is_replaced(make_hub: Make) -> None:
    hub = make_hub([row("org/model", 1)])
    client = HubClient(hub.url)
    url = client.listing_url(sort="createdAt")
    first = reader.Reader()
    os.kill(first._process.pid, signal.SIGKILL)
    first._process.wait()
    with pytest.raises(RemoteUnavailable):
        first.page(client, url, lambda _: None)
    assert len(reader.read_page(client, url, lambda _: None).facts) == 1


def test_a_reader_ends_with_its_worker() -> None:
    one = reader.Reader()
    one._in.close()
    assert one._process.wait(10) == 0
    one.end()
