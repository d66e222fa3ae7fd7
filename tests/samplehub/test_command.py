"""The command: quick to start, plain about what is wrong, gone when told to go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import samplehub
from samplehub.__main__ import parser
from samplehub.running import ROOT, Options
from tests.samplehub.conftest import ask


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "samplehub", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_serves_until_it_is_told_to_stop(tmp_path: Path, name: str) -> None:
    port_file = tmp_path / "port"
    child = start("serve", "--port-file", str(port_file))
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert "55 models (collection) at http://127.0.0.1:" in line
        assert ask(f"http://127.0.0.1:{port_file.read_text().strip()}", "/api/models?limit=1").status == 200
        child.send_signal(getattr(signal, name))
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.communicate()
    assert [path.name for path in tmp_path.iterdir()] == ["port"]


def test_the_collection_takes_little_work_to_start() -> None:
    began = os.times()
    with samplehub.serve(process=True) as hub:
        assert ask(hub, "/api/models?limit=1").status == 200
    ended = os.times()
    spent = ended.children_user + ended.children_system - began.children_user - began.children_system
    assert spent < 2.0  # seconds of work, the interpreter's start and end included; half a second on an idle machine


def test_a_content_can_be_checked(tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    table.write_text('{"id": "a/b"}\n')
    child = start("check", "--content", f"replay:{table}")
    told, _ = child.communicate(timeout=60)
    assert (child.returncode, told) == (0, f"sample hub: 1 models (replay:{table})\n")
    table.write_text('{"id": "a/b"}\n{}\n')
    child = start("check", "--content", f"replay:{table}")
    _, error = child.communicate(timeout=60)
    assert child.returncode == 2
    assert f"{table}, row 2: column id" in error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--content", "menagerie"], "unknown content"),
        (["--content", "replay:/no/such.csv"], "no file /no/such.csv"),
        (["--faults", "fire:0.5"], "unknown fault 'fire'"),
        (["--rate-limit", "api=much"], "rate limit"),
        (["--prerender", "secrets"], "secrets"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments: list[str], told: str) -> None:
    child = start(*arguments)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 2
    assert told in error
    assert error.count("\n") == 1


def test_a_busy_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        child = start("--port", str(taken.getsockname()[1]))
        _, error = child.communicate(timeout=60)
    assert child.returncode == 2
    assert error.startswith("samplehub: cannot listen on 127.0.0.1:")
    assert error.count("\n") == 1


def test_a_hub_that_cannot_start_says_so_in_python() -> None:
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="ended with status 2"), samplehub.serve("menagerie", process=True):
        pass
    assert time.monotonic() - began < 60
    with pytest.raises(ValueError, match="unknown content"), samplehub.serve("menagerie"):
        pass
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(OSError, match="in use"), samplehub.serve(port=taken.getsockname()[1]):
        pass


def test_every_option_is_in_the_command_and_in_the_docs() -> None:
    text = (ROOT / "docs" / "samplehub.md").read_text(encoding="utf-8")
    known = {action.dest for action in parser()._actions} - {"help", "command", "quiet"}
    assert known == set(Options.__dataclass_fields__)
    for name in known:
        assert f"`--{name.replace('_', '-')}`" in text
