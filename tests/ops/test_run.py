"""``make run``: starts all, keeps all running, ends all."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.needs import ROOT
from tests.support.servers import free_port, wait_until
from tests.support.site import Site, is_alive, running_site

pytestmark = pytest.mark.slow


def start(var: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command where it is expected to end by itself."""
    env = {**os.environ, "ROOTSTOCK_VAR": str(var), **environment}
    return subprocess.run(
        [sys.executable, "scripts/run.py"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One stack for all tests of this file that leave it whole."""
    with running_site(tmp_path_factory.mktemp("run") / "var", environment={"CONTENT": "generated:50"}) as running:
        yield running


def test_what_is_killed_comes_back_and_the_site_stays_up(site: Site) -> None:
    for name in ("web0", "web1", "crawl", "analyse", "beat", "hub"):
        wait_until(lambda: site.listeners() == 2, what="both servers")
        killed = site.kill(name)
        for _ in range(5):
            assert site.answers(), name
        site.wait_back(name, killed)
        wait_until(lambda: f"{name} ended (terminated by SIGKILL): starting it again" in site.output, seconds=5)  # noqa: B023


def test_a_worker_of_a_server_is_killed(site: Site) -> None:
    """The process that answers is a child of the one that the supervisor knows."""

    def workers() -> set[int]:
        return {
            int(pid) for pid in Path(f"/proc/{site.pid('web0')}/task/{site.pid('web0')}/children").read_text().split()
        }

    before = wait_until(workers, what="a server's worker")
    wait_until(lambda: site.listeners() == 2, what="both servers")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for _ in range(20):
        assert site.answers()
    wait_until(lambda: workers() - before, what="a new worker")


def test_the_supervisor_is_killed(site: Site) -> None:
    names = ("web0", "web1", "crawl", "beat")
    before = {name: site.pid(name) for name in names}
    killed = site.kill("supervisord")
    site.wait_back("supervisord", killed)
    wait_until(lambda: all(site.pid(name) != before[name] for name in names), what="programs")
    wait_until(lambda: not any(is_alive(pid) for pid in before.values()), seconds=30, what="the old ones gone")
    wait_until(lambda: _answers(site), what="the site")  # 4 s where nothing else runs


def _answers(site: Site) -> bool:
    try:
        return site.get("/readyz")[0] == 200
    except OSError:
        return False


def test_a_second_run_in_the_same_folder_is_told_so(site: Site) -> None:
    answer = start(site.var, PORT=str(free_port()), HUB_PORT=str(free_port()))
    assert answer.returncode == 1
    assert answer.stderr.strip() == (
        f"rootstock: already running at {site.url} (process {site.process.pid}): stop that one with Ctrl-C first"
    )


def test_a_busy_port_is_named_with_the_remedy(tmp_path: Path, site: Site) -> None:
    answer = start(tmp_path / "other", PORT=str(site.port), HUB_PORT=str(free_port()))
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert f"port {site.port} (the site) is busy: choose another: make run PORT={site.port + 10}" in answer.stderr


def test_ctrl_c_ends_all_and_a_second_start_does_nothing_twice(site: Site) -> None:
    first = site.output
    family = site.descendants()
    assert len(family) >= 8
    site.process.send_signal(signal.SIGINT)
    assert site.process.wait(60) == 0
    assert not [pid for pid in family if is_alive(pid)]
    assert "Stopped." in site.output
    secret = (site.var / "secret_key").read_text()

    with running_site(site.var, environment={"CONTENT": "generated:50"}) as second:
        assert "database ready" in first
        assert "database ready" not in second.output
        assert "static files ready" not in second.output
        family = second.descendants()
        second.process.kill()  # and kill -9 of the command itself leaves nothing behind either
        second.process.wait()
        wait_until(lambda: not [pid for pid in family if is_alive(pid)], seconds=45, what="all processes gone")
    assert (site.var / "secret_key").read_text() == secret


TOKEN = "hf_" + "x" * 30


def environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def test_a_hub_out_there_its_token_and_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """A hub that does not answer keeps the site from nothing; the token goes to workers alone."""
    terminal, shell_side = pty.openpty()
    env = {**os.environ, "ROOTSTOCK_VAR": str(tmp_path), "HUB": "http://127.0.0.1:1/", "HF_TOKEN": TOKEN}
    process = subprocess.Popen(
        [sys.executable, "scripts/run.py"],
        cwd=ROOT,
        env=env | {"PORT": str(free_port())},
        stdin=shell_side,
        stdout=shell_side,
        stderr=shell_side,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(shell_side)
    printed = b""
    while b"Rootstock is running" not in printed:
        printed += os.read(terminal, 4096)
    site = Site(0, tmp_path, process)
    family = site.descendants()
    assert "spawned: 'hub'" not in (tmp_path / "log/supervisord.log").read_text()
    assert TOKEN in environment_of(site.pid("crawl"))
    for name in ("web0", "web1", "beat"):
        assert TOKEN not in environment_of(site.pid(name)), name
    os.close(terminal)
    assert process.wait(60) == 0
    assert len(family) >= 6
    assert not [pid for pid in family if is_alive(pid)]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PORT": "web"}, "PORT is 'web': give a number from 1 to 65535"),
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"CONTENT": "replay:no/such/file.parquet"}, "CONTENT can't be served: "),
        ({"CONTENT": "anything"}, "CONTENT can't be served: "),
        ({"HUB": "huggingface.co"}, "HUB is 'huggingface.co': give 'sample' or a URL"),
    ],
)
def test_a_wrong_wish_gets_one_line(tmp_path: Path, environment: dict[str, str], words: str) -> None:
    answer = start(tmp_path / "var", **{"PORT": str(free_port()), "HUB_PORT": str(free_port()), **environment})
    assert answer.returncode == 1
    assert words in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_two_hubs_are_not_mixed_in_one_folder(tmp_path: Path) -> None:
    var = tmp_path / "var"
    var.mkdir()
    (var / "hub").write_text("https://huggingface.co")
    answer = start(var, PORT=str(free_port()), HUB_PORT=str(free_port()))
    assert answer.returncode == 1
    assert "holds the catalogue of 'https://huggingface.co'" in answer.stderr
