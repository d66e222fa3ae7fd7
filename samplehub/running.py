"""Starting a hub: in this thread for the command, in another thread or process for tests and benches."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samplehub import content
from samplehub.catalogue import CatalogueError
from samplehub.faults import Faults, parse
from samplehub.http11 import Line, Server
from samplehub.hub import Hub
from samplehub.limits import RateLimits
from samplehub.listing import Shelf

START_S = 600.0  # making the pages of two million models beforehand takes minutes
ANSWER_S = 600.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Options:
    """All that a hub can be told at its start; the command line has an option for each."""

    content: str = "collection"
    host: str = "127.0.0.1"
    port: int = 0
    port_file: str | None = None
    faults: str = ""
    rate_limit: str = "off"
    latency_ms: float = 0.0
    bandwidth: float | None = None
    line: float | None = None  # bytes per second of all connections together
    seed: int = 0
    prerender: str | None = None
    storage: str = "same"

    def hub(self, catalogue: Shelf | None = None) -> Hub:
        """The hub that these options describe. Raises ContentError or ValueError."""
        hub = Hub(
            catalogue if catalogue is not None else content.load(self.content),
            limits=RateLimits.parse(self.rate_limit),
            faults=Faults(parse(self.faults), self.seed),
            latency=self.latency_ms / 1000,
            bandwidth=self.bandwidth,
            line=Line(self.line) if self.line else None,
            about=self.content if catalogue is None else "given rows",
        )
        if self.prerender is not None:
            hub.prerender([] if self.prerender in ("", "usual") else self.prerender.split(","))
        return hub


async def run(hub: Hub, options: Options, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set. The other host, for links and redirects that lead astray, listens on 127.0.0.2."""
    server, other, storage = Server(hub), Server(hub.astray), Server(hub.storage)
    port = await server.listen(options.host, options.port)
    hub.origin = f"http://{options.host}:{port}"
    if options.storage == "other":
        hub.routes.storage = f"http://{options.host}:{await storage.listen(options.host, 0)}"
    try:
        hub.elsewhere = f"http://127.0.0.2:{await other.listen('127.0.0.2', 0)}"
    except OSError:  # a system with only one loopback address: another port is another origin as well
        hub.elsewhere = f"http://localhost:{await other.listen('127.0.0.1', 0)}"
    if options.port_file:
        _write_whole(Path(options.port_file), f"{port}\n")
    ready(hub.origin)
    try:
        await stop.wait()
    finally:
        await server.close()
        await other.close()
        await storage.close()
        hub.drop_pages()


def _write_whole(path: Path, text: str) -> None:
    """Written beside and renamed, so that a reader never sees half a number."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(path)


class ControlError(Exception):
    """A hub in another process refused a change; the text says why."""


@dataclass
class Running:
    """A hub that serves: its address, and the same controls whether it runs in a thread or a process."""

    url: str
    hub: Hub | None = dataclasses.field(default=None, repr=False)

    def control(self, verb: str, **body: Any) -> Any:
        """``faults``, ``limits``, ``line``, ``change`` or ``reset``, as docs/samplehub.md lists them."""
        if self.hub is not None:
            try:
                return self.hub.control(verb, body)
            except (ValueError, TypeError, KeyError, CatalogueError) as error:
                raise ControlError(f"{type(error).__name__}: {error}") from error
        return self._ask("POST", verb, json.dumps(body))

    def state(self) -> dict[str, Any]:
        """Counts, faults in force, requests that went astray."""
        return self.hub.state() if self.hub is not None else dict(self._ask("GET", "state"))

    def _ask(self, method: str, verb: str, body: str | None = None) -> Any:
        address = self.url.removeprefix("http://")
        with contextlib.closing(http.client.HTTPConnection(address, timeout=ANSWER_S)) as connection:
            connection.request(method, f"/_control/{verb}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.load(answer)
        if answer.status != 200:
            raise ControlError(value["error"])
        return value

    def faults(self, *rules: Any, seed: int | None = None) -> None:
        """Puts these faults in force instead of all others: ``hub.faults("500:0.2", {"kind": "429", "reset": 1})``."""
        self.control("faults", rules=list(rules), **({} if seed is None else {"seed": seed}))

    def change(self, action: str, repo_id: str, **arguments: Any) -> Any:
        """Changes a repo: ``hub.change("rename", "a/b", to="a/c")``."""
        return self.control("change", action=action, id=repo_id, **arguments)["row"]


@contextlib.contextmanager
def serve(
    content: str = "collection", *, catalogue: Shelf | None = None, process: bool = False, **options: Any
) -> Iterator[Running]:
    """A hub on loopback for the length of a ``with`` block, in a thread, or in a process of its own.

    ``options`` are the fields of ``Options``. A ready ``catalogue`` may be given instead of a content's name
    (in a thread only).
    """
    settings = Options(content=content, **options)
    with _in_process(settings) if process else _in_thread(settings, catalogue) as running:
        yield running


@contextlib.contextmanager
def _in_thread(options: Options, catalogue: Shelf | None) -> Iterator[Running]:
    hub = options.hub(catalogue)
    started = threading.Event()
    box: dict[str, Any] = {}

    async def main() -> None:
        box["loop"], box["stop"] = asyncio.get_running_loop(), asyncio.Event()
        await run(hub, options, lambda _: started.set(), box["stop"])

    def target() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            box["error"] = error
            started.set()

    thread = threading.Thread(target=target, name="samplehub", daemon=True)
    thread.start()
    if not started.wait(START_S):
        raise TimeoutError(f"the sample hub did not listen within {START_S:.0f} s")
    if "error" in box:
        raise box["error"]
    try:
        yield Running(hub.origin, hub)
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(10)


@contextlib.contextmanager
def _in_process(options: Options) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="samplehub-") as folder:
        port_file = Path(options.port_file or f"{folder}/port")
        port_file.unlink(missing_ok=True)  # of an earlier run
        command = [sys.executable, "-m", "samplehub", "serve", "--port-file", str(port_file), "--quiet"]
        for name in (field.name for field in dataclasses.fields(options) if field.name != "port_file"):
            if (value := getattr(options, name)) not in (None, ""):
                command += [f"--{name.replace('_', '-')}", str(value)]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})  # noqa: S603 - our own module
        try:
            deadline = time.monotonic() + START_S
            while not port_file.exists():
                if child.poll() is not None:
                    raise RuntimeError(f"the sample hub ended with status {child.returncode} before it listened")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the sample hub did not listen within {START_S:.0f} s")
                time.sleep(0.01)
            yield Running(f"http://{options.host}:{port_file.read_text().strip()}")
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
