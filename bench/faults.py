"""Disturbed crawls end with what undisturbed ones learn: 50 of them on SQLite and PostgreSQL, dumps compared."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import Bench
from bench.disturbing import (
    Plan,
    PostgresStore,
    SqliteStore,
    ask,
    configure,
    disturbed,
    dump,
    lose_one,
    small_pages,
    wish,
    work,
)

FULL, SMALL = 50, 6
MODELS, PAGE = 2_000, 100


def main() -> int:
    bench = Bench("faults")
    parser = bench.parser(__doc__ or "")
    parser.add_argument("--crawls", type=int, help="how many disturbed crawls")
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("--models", type=int, default=MODELS)
    arguments = parser.parse_args()
    bench.begin(arguments)
    crawls = arguments.crawls or (SMALL if bench.small else FULL)
    from samplehub.running import serve

    with contextlib.ExitStack() as stack:
        var = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rootstock-bench-")))
        hub = stack.enter_context(serve(f"generated:{arguments.models}:5", process=True))
        stores: dict[str, Any] = {}
        if "sqlite" in arguments.stores:
            stores["sqlite"] = SqliteStore(var / "sqlite")
        if "postgresql" in arguments.stores:
            from tests.support.servers import postgres_server

            stores["postgresql"] = PostgresStore(stack.enter_context(postgres_server()))
        equal, references = 0, []
        for number, (vendor, store) in enumerate(stores.items()):
            share = crawls // len(stores) + (number < crawls % len(stores))
            # Django is loaded once in a process: each database gets a process of its own, which forks its workers.
            url = store.server.url("postgres") if vendor == "postgresql" else ""
            pid = os.fork()
            result = var / f"{vendor}.result"
            if pid == 0:
                status = 1
                try:
                    configure(hub.url, var / vendor, url)
                    result.write_text(f"{_series(bench, hub, vendor, store, share, number * 1000)}")
                    status = 0
                finally:
                    os._exit(status)
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
                raise SystemExit(f"bench.faults: the series on {vendor} failed")
            count, reference = result.read_text().split(maxsplit=1)
            equal += int(count)
            references.append(reference)
        bench.figure("equal_dumps", equal / crawls, ">= 1", f"{equal} of {crawls}", crawls=crawls)
        if len(references) == 2:
            same = float(references[0] == references[1])
            bench.figure("databases_agree", same, ">= 1", "the undisturbed dumps of SQLite and PostgreSQL are equal")
    return bench.close()


def _series(bench: Bench, hub: Any, vendor: str, store: Any, crawls: int, seed: int) -> str:
    store.prepare()
    database = store.new()

    def quietly() -> str:
        small_pages(PAGE)
        return work(int(wish()))

    began = time.monotonic()
    ask(quietly, database)
    usual = time.monotonic() - began
    reference = ask(dump, database)
    ask(lose_one, database)
    if ask(dump, database) == reference:
        raise RuntimeError("The dump does not notice a lost statement: nothing could be told from it.")
    store.drop(database)
    bench.say(f"{vendor}: an undisturbed crawl takes {usual:.1f} s: {reference[:16]}… {reference[66:]}")
    equal = 0
    for number in range(crawls):
        plan = Plan.draw(seed + number)
        database = store.new()
        began = time.monotonic()
        try:
            found = disturbed(hub, database, plan, usual, PAGE)
        except (TimeoutError, RuntimeError) as error:
            found = str(error)
        equal += found == reference
        told = "" if found == reference else f"  DIFFERS: {found[66:] or found}"
        bench.say(f"  {vendor} {number + 1:2}: {time.monotonic() - began:5.1f} s  {plan}{told}")
        store.drop(database)
    return f"{equal} {reference}"


if __name__ == "__main__":
    sys.exit(main())
