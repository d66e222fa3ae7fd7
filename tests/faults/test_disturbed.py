"""A few of the disturbed crawls that ``bench.faults`` does by the dozen, each in processes that are really killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.needs import ROOT, require

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_disturbed_crawls_learn_what_undisturbed_ones_do(store: str) -> None:
    if store == "postgresql":
        require("postgres")
    crawls = "5" if store == "sqlite" else "3"
    command = [sys.executable, "-m", "bench.faults", "--crawls", crawls, "--stores", store, "--models", "600"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert figures["equal_dumps"] == {"value": 1.0, "bound": ">= 1", "reached": True, "crawls": int(crawls)}
