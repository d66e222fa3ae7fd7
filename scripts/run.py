"""``make run``: the whole of Rootstock in the foreground, under a supervisor, until Ctrl-C.

Environment: PORT (8000), HUB ("sample" or the URL of a hub), CONTENT (what the sample hub serves), HUB_PORT
(the sample hub's port; PORT + 1), ROOTSTOCK_VAR (where the state is kept; var/<hub>). Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_CONTENT = "zoo"  # the sample hub's collection and its zoo
READY_SECONDS = 90.0  # until the first page is served; a cold disk and two busy cores need 20
STOP_SECONDS = 45.0  # more than all stopwaitsecs of ops/supervisord.conf together
REPORTS_EACH = 5  # reports of one program …
REPORT_SECONDS = 60.0  # … within this time; then it is one that does not run
PR_SET_PDEATHSIG = 1


def say(text: str) -> None:
    """Print at once; a terminal that is gone is no reason to fail."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def stop(message: str) -> NoReturn:
    """End with one line that says what is wrong and what to do."""
    sys.exit(f"rootstock: {message}")


# --- what is wished -------------------------------------------------------------------------------------------------
def port_from(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        stop(f"{name} is {text!r}: give a number from 1 to 65535, for example make run {name}={default}")
    return int(text)


def check_free(port: int, name: str, what: str) -> None:
    """Ends with the remedy where ``port`` can't be had. The web server itself shares its port and would not notice."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except PermissionError:
            stop(f"port {port} ({what}) is reserved for root: choose one above 1023: make run {name}={port + 8000}")
        except OSError:
            stop(f"port {port} ({what}) is busy: choose another: make run {name}={port + 10}")


def check_content(content: str) -> None:
    """Ends with the sample hub's own words where it could not serve this."""
    asked = subprocess.run(
        [sys.executable, "-m", "samplehub", "check", "--content", content],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        stop(f"CONTENT can't be served: {asked.stderr.strip().splitlines()[-1].removeprefix('samplehub: ')}")


class Wish:
    """Which hub, which ports, which folder: all that differs between two starts."""

    def __init__(self) -> None:
        hub = (os.environ.get("HUB") or "sample").strip().rstrip("/")
        self.is_sample = hub == "sample"
        self.content = os.environ.get("CONTENT") or DEFAULT_CONTENT
        self.port = port_from("PORT", 8000)
        if self.is_sample:
            self.source = self.content
            folder = "sample" if self.content == "collection" else _slug(self.content)
        else:
            parts = urlsplit(hub)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                stop(f"HUB is {hub!r}: give 'sample' or a URL, for example make run HUB=https://huggingface.co")
            self.source = hub
            folder = _slug(parts.netloc)
        chosen = os.environ.get("ROOTSTOCK_VAR")
        self.var = Path(chosen).expanduser().absolute() if chosen else ROOT / "var" / folder
        self.is_own_folder = not chosen
        self.hub_port = self._hub_port() if self.is_sample else 0
        self.endpoint = f"http://127.0.0.1:{self.hub_port}" if self.is_sample else hub
        self.url = f"http://127.0.0.1:{self.port}"

    def _hub_port(self) -> int:
        """The sample hub keeps its port: its address is part of what is stored of its crawls."""
        if not os.environ.get("HUB_PORT"):
            with contextlib.suppress(OSError):
                kept = urlsplit((self.var / "endpoint").read_text().strip())
                if kept.hostname == "127.0.0.1" and kept.port and kept.port != self.port:
                    return kept.port
        return port_from("HUB_PORT", self.port + 1)

    def claim_folder(self) -> None:
        """Keep one hub's catalogue apart from another's."""
        note = self.var / "hub"
        if note.exists() and note.read_text() != self.source:
            stop(
                f"{self.var} holds the catalogue of {note.read_text()!r}, not of {self.source!r}: "
                "give another folder (ROOTSTOCK_VAR=…) or none"
            )
        note.write_text(self.source)
        (self.var / "endpoint").write_text(self.endpoint)
        if self.is_own_folder:  # commands by hand then work on what was run last
            current = ROOT / "var" / "current"
            beside = current.with_name(f"current.{os.getpid()}")
            beside.symlink_to(self.var.name)
            beside.replace(current)

    def environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in {"HUB", "CONTENT", "PORT", "HUB_PORT"}}
        if self.is_sample:
            env.pop("HF_TOKEN", None)  # it is meant for another hub
        return env | {
            "ROOTSTOCK_VAR": str(self.var),
            "HF_ENDPOINT": self.endpoint,
            "ROOTSTOCK_PYTHON": sys.executable,
            "ROOTSTOCK_PORT": str(self.port),
            "ROOTSTOCK_HUB_PORT": str(self.hub_port),
            "ROOTSTOCK_HUB_CONTENT": self.content,
            "ROOTSTOCK_HUB_AUTOSTART": str(self.is_sample).lower(),
            "PYTHONUNBUFFERED": "1",
        }


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", re.sub(r"/\S*/", "", text)).strip("-.") or "hub"


def lock(wish: Wish) -> IO[str]:
    """Hold the folder for this run. The lock goes with the process, however it ends."""
    wish.var.mkdir(parents=True, exist_ok=True)
    wish.var.chmod(0o700)  # sessions and the password lie in here
    file = (wish.var / "run.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        with contextlib.suppress(ValueError, KeyError):
            other = json.loads(file.read())
            stop(f"already running at {other['url']} (process {other['pid']}): stop that one with Ctrl-C first")
        stop(f"another make run is starting on {wish.var}: stop that one with Ctrl-C first")
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "url": wish.url}))
    file.flush()
    return file


# --- the supervisor -------------------------------------------------------------------------------------------------
class Supervisor:
    """supervisord as a child that ends when this process does; what it reports is put in plain words."""

    REPORTS = (
        (
            re.compile(r"WARN exited: (\S+) \((.*); not expected\)|INFO exited: (\S+) \((.*); expected\)"),
            "{0} ended ({1}): starting it again",
        ),
        (re.compile(r"INFO gave up: (\S+) entered FATAL"), "{0} does not start: see {log}/{0}.log"),
    )

    def __init__(self, wish: Wish, env: dict[str, str]) -> None:
        self.wish, self.env = wish, env
        self.stopping = False
        self.reported: dict[str, list[float]] = {}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(ROOT / "ops" / "supervisord.conf")],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C comes to us alone: we end the others in order
            preexec_fn=_die_with_parent,
        )
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            if self.stopping:
                continue
            for pattern, words in self.REPORTS:
                if found := pattern.search(line):
                    parts = [part for part in found.groups() if part]
                    self._report(parts[0], words.format(*parts, log=_short(self.wish.var / "log")))
            if "Error" in line:
                say(line.rstrip())

    def _report(self, name: str, words: str) -> None:
        """Say it, but not for ever of a program that can't run at all."""
        now = time.monotonic()
        recent = [moment for moment in self.reported.get(name, []) if now - moment < REPORT_SECONDS]
        if len(recent) >= REPORTS_EACH:
            return
        self.reported[name] = [*recent, now]
        if len(recent) + 1 == REPORTS_EACH:
            words = f"{name} ends again and again: see {_short(self.wish.var / 'log' / name)}.log"
        say(f"{time.strftime('%H:%M:%S')}  {words}")

    def keep(self) -> None:
        """Start supervisord again should it have died; its children died with it."""
        if self.process.poll() is not None and not self.stopping:
            say(f"{time.strftime('%H:%M:%S')}  the supervisor ended ({self.process.returncode}): starting it again")
            self.process = self._start()

    def end(self) -> None:
        self.stopping = True
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


# --- the start ------------------------------------------------------------------------------------------------------
def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def banner(wish: Wish, seconds: float) -> str:
    password = wish.var / "admin_password"
    secret = password.read_text().strip() if password.exists() else ""
    shown = f"{secret}   (kept in {_short(password)})" if secret else "as you set it"
    hub = f"the sample hub at {wish.endpoint}" if wish.is_sample else wish.endpoint
    return "\n".join(
        [
            "",
            f"  Rootstock is running (after {seconds:.0f} s):  {wish.url}",
            "",
            f"  admin     {wish.url}/admin/",
            f"            user admin, password {shown}",
            f"  hub       {hub}",
            f"  crawls    {wish.url}/crawls",
            f"  logs      {_short(wish.var / 'log')}/",
            "  stop      Ctrl-C",
            "",
        ]
    )


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def main() -> int:
    started = time.monotonic()
    wish = Wish()
    held = lock(wish)
    check_free(wish.port, "PORT", "the site")
    if wish.is_sample:
        check_free(wish.hub_port, "HUB_PORT", "the sample hub")
        if wish.content not in ("collection", DEFAULT_CONTENT):
            check_content(wish.content)
    wish.claim_folder()
    (wish.var / "log").mkdir(exist_ok=True)
    env = wish.environment()

    wanted = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        wanted.set()

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if name != signal.SIGHUP or signal.getsignal(name) != signal.SIG_IGN:  # nohup make run stays
            signal.signal(name, on_signal)

    say(f"Starting Rootstock on {wish.source if not wish.is_sample else 'the sample hub'} ...")
    prepared = subprocess.run([sys.executable, str(ROOT / "scripts" / "prepare.py")], cwd=ROOT, env=env, check=False)
    if wanted.is_set():
        return 0
    if prepared.returncode:
        stop("the preparations above failed; nothing was started")
    supervisor = Supervisor(wish, env)
    try:
        deadline = time.monotonic() + READY_SECONDS
        told = False
        while not wanted.wait(0.2 if not told else 0.5):
            supervisor.keep()
            if told:
                continue
            if answers(wish.port, "/healthz"):
                say(banner(wish, time.monotonic() - started))
                told = True
            elif time.monotonic() > deadline:
                stop(f"the site does not answer after {READY_SECONDS:.0f} s: see {_short(wish.var / 'log')}/web0.log")
        say("\nStopping ...")
    finally:
        supervisor.end()
        held.close()
    say(f"Stopped. All is kept in {_short(wish.var)}/; make run goes on from there.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
