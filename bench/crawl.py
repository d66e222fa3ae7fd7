"""A crawl of generated models over HTTP against a bare loop over ``HfApi.list_models`` on the same server.

The clock stops when the last model is stored, its edges are judged and placed, and search finds it. Workers run as they
do in life: one process crawls, another one grows the trees meanwhile.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import Bench, median

SEED = 7
ROUNDS = 3
FULL, LARGE = 100_000, 500_000
SMALL, SMALL_LARGE = 10_000, 50_000
LIMIT, WINDOW, LIMITED_ROWS, LIMITED_PAGE = 100, 30, 20_000, 40  # 1,000 requests in 300 s, scaled by ten
LIMITED_SMALL = (20, 6, 4_000, 40)


def main() -> int:
    bench = Bench("crawl")
    parser = bench.parser(__doc__ or "")
    parser.add_argument("--only", default="", help="speed, memory or limit")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    bench.begin(arguments)
    size, large = (SMALL, SMALL_LARGE) if bench.small else (FULL, LARGE)
    with contextlib.ExitStack() as stack:
        var = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rootstock-bench-")))
        os.environ["ROOTSTOCK_VAR"] = str(var)
        if arguments.only in ("", "speed"):
            _speed(bench, var, size, 1 if bench.small else arguments.rounds)
        if arguments.only in ("", "memory"):
            _memory(bench, var, size, large)
        if arguments.only in ("", "limit"):
            _limit(bench, var)
    return bench.close()


# --- speed ----------------------------------------------------------------------------------------------------------
def _speed(bench: Bench, var: Path, size: int, rounds: int) -> None:
    from tests.support.servers import postgres_server

    with _hub(size) as hub, postgres_server() as server:
        bench.say(f"{size:,} models, {rounds} rounds; pages made beforehand")
        alone, peers = [], []
        taken: dict[str, list[float]] = {"sqlite": [], "postgresql": []}
        for number in range(rounds):
            alone.append(_alone(hub.url, size))
            peers.append(_peer(hub.url, size))
            for vendor, times in taken.items():
                url = server.url("postgres") if vendor == "postgresql" else ""
                found = _ours(hub.url, var / f"{vendor}{number}", url, size)
                times.append(found["seconds"])
                bench.say(f"  {vendor}: {found}")
            bench.say(
                f"  server alone {alone[-1]:.2f} s, peer {peers[-1]:.2f} s, "
                + ", ".join(f"{vendor} {times[-1]:.2f} s" for vendor, times in taken.items())
            )
    peer = median(peers)
    bench.figure("server_alone_over_peer", peer / median(alone), ">= 3", "how much faster the server is than the peer")
    for vendor, bound in (("sqlite", "<= 1.5"), ("postgresql", "<= 2.0")):
        seconds = median(taken[vendor])
        note = f"{seconds:.2f} s over the peer's {peer:.2f} s; {size / seconds:,.0f} models/s"
        bench.figure(f"time_{vendor}", seconds / peer, bound, note, seconds=round(seconds, 3), peer=round(peer, 3))


@contextlib.contextmanager
def _hub(size: int, *, prerender: bool = True, **options: Any) -> Any:
    from samplehub.running import serve
    from workers.crawling.rows import EXPAND

    with serve(f"generated:{size}:{SEED}", process=True, **options) as hub:
        if prerender:
            hub.control("prerender", expand=list(EXPAND))
        yield hub


def _first_url(endpoint: str) -> str:
    from workers.crawling.client import HubClient

    return HubClient(endpoint).listing_url(sort="createdAt")


def _alone(endpoint: str, size: int) -> float:
    """Seconds that the server needs when the pages are only read."""
    parts = urlsplit(_first_url(endpoint))
    connection = http.client.HTTPConnection(parts.netloc)
    target: str | None = f"{parts.path}?{parts.query}"
    began, rows = time.monotonic(), 0
    while target:
        connection.request("GET", target)
        answer = connection.getresponse()
        rows += answer.read().count(b'{"_id":"')
        link = re.search(r"<([^>]*)>", answer.headers.get("Link") or "")
        target = link[1].removeprefix(endpoint) if link else None
    seconds = time.monotonic() - began
    if rows < size:
        raise RuntimeError(f"the server gave {rows} rows instead of {size}")
    return seconds


PEER = """
import sys, time
from huggingface_hub import HfApi
began, count = time.monotonic(), 0
for model in HfApi(endpoint=sys.argv[1], token=False).list_models(expand=sys.argv[2].split(","), sort="created_at"):
    count += 1
print(count, time.monotonic() - began)
"""


def _peer(endpoint: str, size: int) -> float:
    from workers.crawling.rows import EXPAND

    command = [sys.executable, "-c", PEER, endpoint, ",".join(EXPAND)]
    count, seconds = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    if int(count) != size:
        raise RuntimeError(f"the peer read {count} models instead of {size}")
    return float(seconds)


def _ours(endpoint: str, var: Path, database_url: str, size: int) -> dict[str, Any]:
    """One crawl in fresh processes (this one must never load Django twice): what it took."""
    command = [sys.executable, "-m", "bench.crawling", endpoint, str(var), database_url or "sqlite", str(size)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(answer.splitlines()[-1]))


# --- memory ---------------------------------------------------------------------------------------------------------
def _memory(bench: Bench, var: Path, size: int, large: int) -> None:
    peaks = []
    for models in (size, large):
        with _hub(models) as hub:
            found = _ours(hub.url, var / f"memory{models}", "", models)
        peaks.append(found["crawl_mb"])
        bench.say(f"  {models:,} models: {found}")
    bench.figure("memory_growth", peaks[1] / peaks[0], "<= 1.2", f"{peaks[0]:.0f} MB, then {peaks[1]:.0f} MB")


# --- the rate limit -------------------------------------------------------------------------------------------------
def _limit(bench: Bench, var: Path) -> None:
    limit, window, size, page = LIMITED_SMALL if bench.small else (LIMIT, WINDOW, LIMITED_ROWS, LIMITED_PAGE)
    with _hub(size, prerender=False, rate_limit=f"api={limit}/{window}") as hub:
        asked: list[tuple[float, int]] = []
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.1):
                asked.append((time.monotonic(), hub.state()["counts"].get("requests", 0)))

        watcher = threading.Thread(target=look)
        watcher.start()
        os.environ["BENCH_PAGE"] = str(page)
        try:
            _ours(hub.url, var / "limited", "", size)
        finally:
            del os.environ["BENCH_PAGE"]
            over.set()
            watcher.join()
        counts = hub.state()["counts"]
    bursts = _bursts(asked)
    inner = bursts[1:-1]
    bench.say(f"  requests in each window: {bursts}")
    if not inner:
        raise RuntimeError("the crawl was over before a whole window had passed")
    bench.figure("allowance_used", sum(inner) / len(inner) / limit, ">= 0.95", f"of {limit} requests in {window} s")
    bench.figure("refusals", counts.get("status 429", 0), "== 0", "answers with 429")


def _bursts(asked: list[tuple[float, int]]) -> list[int]:
    """Requests between pauses of more than a second: those of each window."""
    bursts, last_change, begin = [], None, 0
    before = 0
    for moment, count in asked:
        if count > before:
            if last_change is not None and moment - last_change > 1.0:
                bursts.append(before - begin)
                begin = before
            last_change, before = moment, count
    return [*bursts, before - begin]


if __name__ == "__main__":
    sys.exit(main())
