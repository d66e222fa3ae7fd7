"""A listing, page after page along its links, the next pages fetched and read while the present one is stored."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from workers.crawling import rows
from workers.crawling.client import HubClient, Page
from workers.crawling.records import Rejected, RepoFacts
from workers.errors import RateLimited

AHEAD = 2  # pages under way at most: one arriving while one is read; each takes some 30 MB at the Hub's row size


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page as facts. ``private`` counts the rows that were dropped because their repos are private.

    ``children`` maps the names of models that the Hub counts children of to how many, where the listing asks for it.
    """

    url: str
    next_url: str | None
    facts: list[RepoFacts]
    rejected: list[Rejected]
    private: int
    moment: float | None
    children: dict[str, int] = field(default_factory=dict)


@dataclass
class Listing:
    """Reads one listing from ``url`` on. ``next`` is called from one thread, the one that may touch the ledger.

    The link to a page is known as soon as the headers of the one before have arrived: a fetch hands on to the next,
    as far as requests are paid for.
    """

    client: HubClient
    url: str | None
    ahead: int = AHEAD
    read: Callable[[HubClient, str, Callable[[str | None], None]], ReadPage] | None = None  # None: in this process
    _flying: deque[tuple[str, Future[ReadPage]]] = field(default_factory=deque)
    _paid: int = 0
    _waiting: str | None = None  # a link that nobody has paid for yet
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor | None = None

    def __post_init__(self) -> None:
        self._waiting = self.url
        self._pool = ThreadPoolExecutor(self.ahead, thread_name_prefix="listing")

    @property
    def at(self) -> str | None:
        """The URL of the page that ``next`` will give; None after the last."""
        with self._lock:
            return self._flying[0][0] if self._flying else self._waiting

    def next(self) -> ReadPage:
        """The next page, waiting for it if need be. Raises what ``HubClient.page`` raises; the listing is over then."""
        self._pay()
        with self._lock:
            _, future = self._flying.popleft()
        try:
            page = future.result()
            self._pay_ahead()
        except BaseException:
            self.close()
            raise
        return page

    def close(self) -> None:
        """Drop what is under way."""
        with self._lock:
            self._waiting = None
            self._flying.clear()
            pool, self._pool = self._pool, None
            paid, self._paid = self._paid, 0
        if paid:
            self.client.gate.unspend("api", paid)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _pay(self) -> None:
        if not self._flying:
            self.client.pay("api")
            self._add_paid()
        self._pay_ahead()

    def _pay_ahead(self) -> None:
        """Pay for the pages after this one, as long as there is something left to pay with."""
        while True:
            with self._lock:
                if self._paid + len(self._flying) >= self.ahead or (self._waiting is None and self._no_link_to_come()):
                    return
            try:
                self.client.gate.take("api")
            except RateLimited:
                return  # what is under way is still to be stored; the next call waits
            self._add_paid()

    def _no_link_to_come(self) -> bool:
        return not any(not future.done() for _, future in self._flying)

    def _add_paid(self) -> None:
        with self._lock:
            self._paid += 1
            if self._waiting is not None:
                url, self._waiting = self._waiting, None
                self._submit(url)

    def _submit(self, url: str) -> None:
        if self._pool is not None:
            self._paid -= 1
            self._flying.append((url, self._pool.submit(self.read or read_page, self.client, url, self._linked())))

    def _linked(self) -> Callable[[str | None], None]:
        told = False

        def linked(url: str | None) -> None:
            nonlocal told
            if told or url is None:  # a page that is tried again brings its link again
                return
            told = True
            with self._lock:
                if self._pool is None:
                    return
                if self._paid > 0:
                    self._submit(url)
                else:
                    self._waiting = url

        return linked


def read_page(client: HubClient, url: str, linked: Callable[[str | None], None]) -> ReadPage:
    """Fetch and read a page (paid for) in this process."""
    page = client.page(url, on_link=linked)
    facts, rejected, private = rows.read(page.rows)
    return ReadPage(url, page.next_url, facts, rejected, private, page.moment, children_in(page))


def children_in(page: Page) -> dict[str, int]:
    """How many models the Hub counts as derived from each of the page's, where the listing asked for it."""
    if "childrenModelCount" not in page.url:
        return {}
    found = {}
    for row in page.rows:
        if isinstance(row, dict) and isinstance(row.get("id"), str):
            counts = row.get("childrenModelCount")
            counts = counts.values() if isinstance(counts, dict) else ()
            found[row["id"]] = sum(count for count in counts if type(count) is int and count > 0)
    return found
