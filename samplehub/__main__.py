"""``python -m samplehub [serve]``: runs a hub until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from samplehub.content import ContentError
from samplehub.faults import KINDS
from samplehub.running import Options, run


def parser() -> argparse.ArgumentParser:
    kinds = "\n".join(f"  {name:17}{what}" for name, (what, _) in KINDS.items())
    top = argparse.ArgumentParser(
        prog="python -m samplehub",
        description="A small hub on loopback that speaks the Hub's HTTP API.",
        epilog=f"faults (KIND[:PROBABILITY][;FIGURE=VALUE…], separated by commas):\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("command", nargs="?", choices=["serve", "check"], default="serve", help="check: load, tell, end")
    kinds_of_content = "collection, zoo[:FOLDER], replay:FILE[,FILE…] or generated:N[:SEED]"
    top.add_argument("--content", default="collection", help=kinds_of_content)
    top.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    top.add_argument("--port", type=int, default=0, help="0 asks the system for a free port (default)")
    top.add_argument("--port-file", help="write the port here as soon as requests are taken")
    top.add_argument("--faults", default="", help="what goes wrong, see below")
    top.add_argument("--rate-limit", default="off", help="off, real, real/SCALE or api=REQUESTS/SECONDS[,resolvers=…]")
    top.add_argument("--latency-ms", type=float, default=0.0, help="wait so long before each answer")
    top.add_argument("--bandwidth", type=float, help="bytes per second of each connection")
    top.add_argument("--line", type=float, help="bytes per second of all connections together")
    top.add_argument("--seed", type=int, default=0, help="seed of the faults' dice")
    top.add_argument(
        "--prerender",
        nargs="?",
        const="usual",
        metavar="FIELDS",
        help="make the pages of a full crawl beforehand (these fields)",
    )
    top.add_argument(
        "--storage", choices=["same", "other"], default="same", help="large files: on this host or another"
    )
    top.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return top


def main(argv: list[str] | None = None) -> int:
    arguments = vars(parser().parse_args(argv))
    command = arguments.pop("command")
    quiet = arguments.pop("quiet")
    options = Options(**arguments)
    try:
        hub = options.hub()
    except (ContentError, ValueError, OSError) as error:
        print(f"samplehub: {error}", file=sys.stderr)
        return 2

    if command == "check":
        print(f"sample hub: {len(hub.catalogue)} models ({options.content})")
        return 0

    def ready(origin: str) -> None:
        if not quiet:
            print(f"sample hub: {len(hub.catalogue)} models ({options.content}) at {origin}", flush=True)

    async def serve_until_signalled() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await run(hub, options, ready, stop)

    try:
        asyncio.run(serve_until_signalled())
    except OSError as error:
        print(f"samplehub: cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
