"""How long visitors wait: searches, model pages and trees over millions of models, against a page without a query.

Eight clients ask the web server as it runs in production (ops/supervisord.conf: two servers of one process each, four
threads), nothing is cached between requests. The yardstick is the page of marks (``/about``): the same middleware, the
same frame, no query. Every search that leaves its count to a second request is charged with that one as well.
``--keep FOLDER`` keeps the filled databases there, and uses those it finds.
"""

from __future__ import annotations

import contextlib
import gc
import http.client
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import Bench
from bench.asked import Asked, Fetch, requests
from tests.support.servers import Postgres, end, free_port, is_listening, postgres_server, wait_until

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 8
YARDSTICK = "/about"
YARDSTICKS = 1_600
SIZES = {"postgresql": (20_000, 2_000_000), "sqlite": (20_000, 200_000)}
SMALL = {"postgresql": (2_000, 20_000), "sqlite": (2_000, 20_000)}
RATIO = "<= 8"
GROWTH = "<= 3"
# Room for the index and the tables that lists read, as the documentation asks of whoever holds the whole Hub.
POSTGRES = {"shared_buffers": "1GB", "effective_cache_size": "3GB", "random_page_cost": "1.1", "max_wal_size": "4GB"}
_COUNTS = re.compile(r'id="search-count"[^>]* hx-get="([^"]+)"')


@dataclass
class Waits:
    """Seconds that requests of each kind took, and answers that were none."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def all(self) -> list[float]:
        return [wait for waits in self.seconds.values() for wait in waits]


def p95(waits: list[float]) -> float:
    """The wait that one in twenty exceeds."""
    return sorted(waits)[int(len(waits) * 0.95)]


class Visitor(threading.Thread):
    """One client: takes the next request of a shared list until it is empty, on one connection."""

    def __init__(self, port: int, queue: Iterator[tuple[str, str]], lock: threading.Lock, waits: Waits) -> None:
        super().__init__(daemon=True)
        self.queue, self.lock, self.waits = queue, lock, waits
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def run(self) -> None:
        while True:
            with self.lock:
                kind, address = next(self.queue, ("", ""))
            if not kind:
                return
            body = self.ask(kind, address)
            counting = _COUNTS.search(body) if kind in {"common", "rare", "two letters", "misspelt"} else None
            if counting:
                htmx = {"HX-Request": "true", "HX-Target": "search-count"}
                self.ask("count", counting[1].replace("&amp;", "&"), htmx)

    def ask(self, kind: str, address: str, headers: dict[str, str] | None = None) -> str:
        start = time.perf_counter()
        try:
            self.connection.request("GET", address, headers=headers or {})
            response = self.connection.getresponse()
            body = response.read()
            status = response.status
        except OSError as error:
            self.connection.close()
            body, status = repr(error).encode(), 0
        wait = time.perf_counter() - start
        with self.lock:
            self.waits.seconds.setdefault(kind, []).append(wait)
            if status != 200:
                self.waits.failed.append(f"{status} {address}")
        return body.decode("utf-8", "replace")


def visit(port: int, asked: list[tuple[str, str]]) -> Waits:
    """All requests, by CLIENTS at once."""
    waits, queue, lock = Waits(), iter(asked), threading.Lock()
    visitors = [Visitor(port, queue, lock, waits) for _ in range(CLIENTS)]
    gc.disable()
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    gc.enable()
    return waits


@contextlib.contextmanager
def served(environment: dict[str, str]) -> Iterator[int]:
    """The web servers, as ops/supervisord.conf starts them; gives their port."""
    program = (ROOT / "ops" / "supervisord.conf").read_text().partition("[program:web]")[2]
    command = re.search(r"^command = (.*)$", program, re.MULTILINE)
    number = re.search(r"^numprocs = (\d+)$", program, re.MULTILINE)
    assert command, "no web server in ops/supervisord.conf"
    port = free_port()
    line = command[1].replace('"%(ENV_ROOTSTOCK_PYTHON)s"', sys.executable).replace("%(ENV_ROOTSTOCK_PORT)s", str(port))
    env = {**environment, "ROOTSTOCK_LOG_LEVEL": "WARNING"}
    subprocess.run([sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"], env=env, cwd=ROOT, check=True)
    servers = [
        subprocess.Popen(line.split(), env=env, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
        for _ in range(int(number[1]) if number else 1)
    ]
    try:
        wait_until(lambda: is_listening(port), what="the web server")
        visit(port, [("warm", YARDSTICK)] * 100 + [("warm", "/search?q=llama")] * 40)
        yield port
    finally:
        for server in servers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            end(server, seconds=10)


def measure(bench: Bench, environment: dict[str, str], fetch: Fetch, title: str) -> tuple[float, float]:
    """(p95 of the yardstick, p95 of all that is asked for), in seconds."""
    asked: Asked = requests(fetch)
    mixed = [(kind, address) for kind, addresses in asked.items() for address in addresses]
    random.Random(3).shuffle(mixed)
    with served(environment) as port:
        first = visit(port, [("yardstick", YARDSTICK)] * (YARDSTICKS // 2))
        waits = visit(port, mixed)
        again = visit(port, [("yardstick", YARDSTICK)] * (YARDSTICKS // 2))
    base = p95(first.all() + again.all())
    bench.say(f"  {title}: yardstick p95 {base * 1e3:.1f} ms, {len(waits.all())} requests")
    for kind, seconds in waits.seconds.items():
        middle = sorted(seconds)[len(seconds) // 2]
        bench.say(
            f"    {kind:15} {len(seconds):5}  median {middle * 1e3:7.1f} ms  p95 {p95(seconds) * 1e3:7.1f} ms  "
            f"({p95(seconds) / base:.1f} x)  longest {max(seconds) * 1e3:7.1f} ms"
        )
    for failure in waits.failed[:5]:
        bench.say(f"    FAILED {failure[:200]}")
    if waits.failed:
        raise RuntimeError(f"{len(waits.failed)} requests failed, first {waits.failed[0][:200]}")
    return base, p95(waits.all())


# --- databases ------------------------------------------------------------------------------------------------------
def fill(environment: dict[str, str], models: int) -> None:
    """Fill the database that the environment names."""
    subprocess.run([sys.executable, "-m", "bench.stock", str(models)], env=environment, cwd=ROOT, check=True)


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what might lead to another database or hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROOTSTOCK_", "DJANGO_", "HF_"))}
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS"):
        kept.pop(name, None)
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def on_postgres(bench: Bench, cluster: Postgres, home: Path, models: int) -> tuple[float, float]:
    """Measure over ``models`` models in a database of the cluster."""
    import psycopg

    url = cluster.create()
    environment = clean_environment(DATABASE_URL=url, ROOTSTOCK_VAR=str(home / f"pg{models}"))
    fill(environment, models)

    def fetch(sql: str) -> list[tuple]:  # type: ignore[type-arg]
        with psycopg.connect(url) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[arg-type]

    result = measure(bench, environment, fetch, f"PostgreSQL, {models:,} models")
    cluster.drop(url)
    return result


def on_sqlite(bench: Bench, home: Path, models: int, keep: bool) -> tuple[float, float]:
    """Measure over ``models`` models in a file."""
    var = home / f"sqlite{models}"
    environment = clean_environment(ROOTSTOCK_VAR=str(var))
    if not (var / "filled").exists():
        fill(environment, models)
        (var / "filled").touch()

    def fetch(sql: str) -> list[tuple]:  # type: ignore[type-arg]
        with contextlib.closing(sqlite3.connect(var / "rootstock.sqlite3")) as connection:
            return connection.execute(sql).fetchall()

    result = measure(bench, environment, fetch, f"SQLite, {models:,} models")
    if not keep:
        shutil.rmtree(var)
    return result


def main(arguments: list[str] | None = None) -> int:
    bench = Bench("pages")
    parser = bench.parser("Waits of visitors, over those for a page without a query.")
    parser.add_argument("--only", choices=["postgresql", "sqlite"], help="one database only")
    parser.add_argument("--keep", type=Path, help="a folder for the SQLite databases: kept, and used again")
    options = parser.parse_args(arguments)
    bench.begin(options)
    sizes = SMALL if bench.small else SIZES
    home = options.keep or Path(tempfile.mkdtemp(prefix="rootstock-bench-"))
    home.mkdir(parents=True, exist_ok=True)
    try:
        for database in ("postgresql", "sqlite"):
            if options.only in (None, database):
                waits = {}
                with postgres_server(**POSTGRES) if database == "postgresql" else contextlib.nullcontext() as cluster:
                    for models in sizes[database]:
                        if cluster is not None:
                            waits[models] = on_postgres(bench, cluster, home, models)
                        else:
                            waits[models] = on_sqlite(bench, home, models, keep=options.keep is not None)
                report(bench, database, waits)
    finally:
        if options.keep is None:
            shutil.rmtree(home, ignore_errors=True)
    return bench.close()


def report(bench: Bench, database: str, waits: dict[int, tuple[float, float]]) -> None:
    """The two bounds: over the yardstick at the larger size, and between the sizes."""
    (few, less), (many, most) = sorted(waits.items())
    said = {"yardstick_ms": round(most[0] * 1e3, 1), "p95_ms": round(most[1] * 1e3, 1), "models": many}
    bench.figure(
        f"{database}, over yardstick", most[1] / most[0], RATIO, f"p95 {most[1] * 1e3:.0f} ms, {many:,} models", **said
    )
    over = (most[1] / most[0]) / (less[1] / less[0])
    note = f"{few:,} → {many:,}; {over:.2f} with each over its own yardstick"
    bench.figure(f"{database}, growth", most[1] / less[1], GROWTH, note, over_yardsticks=round(over, 3))


if __name__ == "__main__":
    raise SystemExit(main())
