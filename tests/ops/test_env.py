"""``scripts/env.py``: what keeps a machine from running Rootstock is said in one line, with the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that the script reads, and nothing that was made yet."""
    folder = tmp_path / "checkout with a blank"
    (folder / "scripts").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "encoder.txt", "scripts/env.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def python_that_says(folder: Path, name: str, answer: str) -> None:
    """A ``python3`` of another machine: it answers the probe and can do nothing else."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)


def run_env(checkout: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(checkout / "scripts" / "env.py")],
        env={"PATH": path, "HOME": os.environ.get("HOME", "/"), **environment},
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def one_line(answer: subprocess.CompletedProcess[str]) -> str:
    assert answer.returncode == 1
    assert answer.stderr.startswith("rootstock: ")
    assert answer.stderr.count("\n") == 1
    return answer.stderr


def test_a_python_that_is_too_old(checkout: Path, tmp_path: Path) -> None:
    python_that_says(tmp_path / "bin", "python3", "3.9")
    line = one_line(run_env(checkout, str(tmp_path / "bin")))
    assert "is Python 3.9, and 3.11 or newer is needed: install it" in line
    assert "apt-get install python3.11 python3.11-venv" in line


def test_a_python_without_venv(checkout: Path, tmp_path: Path) -> None:
    python_that_says(tmp_path / "bin", "python3.12", "3.12 ensurepip")
    line = one_line(run_env(checkout, str(tmp_path / "bin")))
    assert "(Python 3.12) has no ensurepip module: apt-get install python3.12-venv" in line


def test_no_python_at_all(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    assert "install Python 3.11 or newer" in one_line(run_env(checkout, str(tmp_path / "bin")))


def test_a_python_that_was_asked_for_and_is_not_there(checkout: Path, tmp_path: Path) -> None:
    python_that_says(tmp_path / "bin", "python3.11", "3.11")
    assert "no python9 found" in one_line(run_env(checkout, str(tmp_path / "bin"), PYTHON="python9"))


def test_the_first_python_that_fits_is_taken(checkout: Path, tmp_path: Path) -> None:
    """One without venv stands before one with it."""
    python_that_says(tmp_path / "bin", "python3.11", "3.11 ensurepip")
    python_that_says(tmp_path / "bin", "python3.13", "3.13")
    answer = run_env(checkout, str(tmp_path / "bin"))
    assert f"Making .venv with {tmp_path}/bin/python3.13" in answer.stdout


def test_make_without_any_python(tmp_path: Path) -> None:
    for name in ("make", "sh", "test", "echo", "grep", "awk"):
        (tmp_path / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    answer = subprocess.run(
        ["make", "run"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert "rootstock: no python3 found: install Python 3.11 or newer" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.slow
def test_no_package_index(checkout: Path) -> None:
    """The end of pip's own words, then one line; nothing counts as installed."""
    answer = run_env(
        checkout,
        os.environ["PATH"],
        PYTHON=sys.executable,
        PIP_INDEX_URL="http://127.0.0.1:1/simple/",
        PIP_RETRIES="0",
        PIP_CONFIG_FILE=os.devnull,
        PIP_NO_CACHE_DIR="1",
    )
    assert answer.returncode == 1
    assert "rootstock: pip could not install the packages above (is the package index reachable?)" in answer.stderr
    assert not (checkout / ".venv" / ".installed").exists()


def test_a_text_encoder_that_can_not_be_had(checkout: Path) -> None:
    """All else is installed: it is said once, tried again another day, and nothing fails."""
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$*" in *encoder.txt) exit 1;; esac\n')
    python.chmod(0o755)
    first, second = (run_env(checkout, os.environ["PATH"]) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert "search by meaning reads words and letters" in first.stdout
    assert second.stdout == ""
    assert (checkout / ".venv" / ".installed").exists()


def test_help_names_every_target() -> None:
    answer = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("run", "test", "lint", "bench", "env", "clean"):
        assert f"make {target}" in answer.stdout
