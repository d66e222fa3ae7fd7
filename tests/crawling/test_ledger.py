"""The shared allowance: arithmetic of windows, and many drawers at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.db import connections

from hubapp.crawling import ledger
from hubapp.crawling.models import Budget
from workers.crawling.gate import Gate, heard_in
from workers.crawling.records import Drawn, Heard
from workers.errors import RateLimited


class MemoryLedger:
    """The row without a database."""

    def __init__(self) -> None:
        self.row = Budget(endpoint="x", bucket="api")
        self.lock = threading.Lock()

    def draw(self, *, bucket: str, wanted: int, heard: Heard | None) -> Drawn:
        with self.lock:
            if heard is not None:
                ledger._learn(self.row, heard)
            return ledger._grant(self.row, wanted, time.time())

    def give_back(self, *, bucket: str, count: int) -> None:
        with self.lock:
            self.row.remaining += count


def headers(remaining: int, reset: int, quota: int = 100, window: int = 300) -> dict[str, str]:
    return {
        "ratelimit": f'"api";r={remaining};t={reset}',
        "ratelimit-policy": f'"fixed window";"api";q={quota};w={window}',
    }


def test_headers_are_heard() -> None:
    found = heard_in(headers(7, 55, 500), 200)
    assert found is not None
    bucket, heard = found
    assert (bucket, heard.remaining, heard.reset, heard.quota, heard.window) == ("api", 7, 55.0, 500, 300.0)
    assert heard_in({}, 200) is None
    refused = heard_in({"retry-after": "12"}, 429)
    assert refused is not None
    assert (refused[1].reset, refused[1].refused) == (12.0, True)
    dated = heard_in({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 429)
    assert dated is not None
    assert dated[1].reset == 0.0


def test_before_the_limit_is_known_requests_go_one_by_one() -> None:
    memory = MemoryLedger()
    gate = Gate(memory)
    gate.take("api")
    gate.hear("api", headers(99, 200), 200)
    gate.take("api")
    assert memory.row.quota == 100
    assert memory.row.remaining < 99


def test_the_last_requests_are_granted_singly_and_then_it_waits() -> None:
    memory = MemoryLedger()
    gate = Gate(memory)
    gate.take("api")
    gate.hear("api", headers(99, 200), 200)
    for _ in range(99):
        gate.take("api")
    with pytest.raises(RateLimited) as caught:
        gate.take("api")
    assert 199 < caught.value.wait <= 201


def test_what_others_spend_with_the_same_token_is_noticed() -> None:
    memory = MemoryLedger()
    gate = Gate(memory)
    gate.take("api")
    gate.hear("api", headers(99, 200), 200)
    gate.take("api")
    gate.hear("api", headers(3, 199), 200)
    for _ in range(3):
        gate.take("api")
    with pytest.raises(RateLimited):
        gate.take("api")
    assert memory.row.remaining == 0


def test_a_new_window_grants_anew_and_learns_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Budget(endpoint="x", bucket="api", quota=100, remaining=0, window=300)
    now = time.time()
    row.resets_at = datetime.fromtimestamp(now - 1, UTC)
    assert ledger._grant(row, 5, now).count == 5
    assert (row.remaining, row.resets_at) == (95, None)
    ledger._learn(row, Heard(95, 120.0, 100, 300.0, at=now, spare=0))
    assert row.remaining == 95
    assert row.resets_at is not None
    assert row.resets_at.timestamp() == pytest.approx(now + 121, abs=0.01)


def test_a_refusal_stops_everybody_even_without_a_known_limit() -> None:
    row = Budget(endpoint="x", bucket="api")
    ledger._learn(row, Heard(0, 9.0, at=time.time(), refused=True))
    grant = ledger._grant(row, 5, time.time())
    assert grant.count == 0
    assert 9 < grant.wait <= 10
    assert ledger._grant(row, 5, time.time() + 11).count == 5


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_many_workers_never_overdraw() -> None:
    endpoint = "http://127.0.0.1:1"
    shared = ledger.SharedBudget(endpoint)
    shared.draw(bucket="api", wanted=0, heard=Heard(60, 200.0, 60, 300.0, at=time.time()))

    def work(_: int) -> int:
        gate, taken = Gate(ledger.SharedBudget(endpoint)), 0
        try:
            while True:
                gate.take("api")
                taken += 1
        except RateLimited:
            return taken
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 60
    assert Budget.objects.get().remaining == 0


@pytest.mark.django_db(transaction=True)
def test_what_was_not_used_is_given_back() -> None:
    gate = Gate(ledger.SharedBudget("http://127.0.0.1:1"))
    gate.take("api")
    gate.hear("api", headers(399, 200, quota=400), 200)
    gate.take("api")
    assert Budget.objects.get().remaining == 389
    gate.close()
    assert Budget.objects.get().remaining == 398
