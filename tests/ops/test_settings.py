"""The two profiles: what they refuse, what they switch on. Each case is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import ROOT

DEPLOY = {
    "ROOTSTOCK_PROFILE": "deploy",
    "SECRET_KEY": "k3y-of-this-test-8Jq2mVx0rTz5LwYbNdPcHsGf7aEuKi4o1RvXtQy",
    "ALLOWED_HOSTS": "rootstock.example.org",
    "DATABASE_URL": "postgresql://someone:pw@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def manage(*arguments: str, var: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """``manage.py`` with these variables and none of ours."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "ROOTSTOCK_VAR": str(var), **environment}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


def read_settings(var: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The settings alone, in a process of their own: prints what a test asks for in ASK."""
    env = {"PATH": os.environ["PATH"], "ROOTSTOCK_VAR": str(var), "ASK": "", **environment}
    code = "import os; from hubapp import settings as s; print(*[getattr(s, x) for x in os.environ['ASK'].split()])"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"])
def test_the_deploy_profile_refuses_to_start_without(missing: str, tmp_path: Path) -> None:
    answer = read_settings(tmp_path, **{name: value for name, value in DEPLOY.items() if name != missing})
    assert answer.returncode != 0
    assert f"The deploy profile needs {missing} in the environment." in answer.stderr


def test_check_deploy_is_clean_and_keeps_nothing_secret_on_disk(tmp_path: Path) -> None:
    answer = manage("check", "--deploy", "--fail-level", "INFO", var=tmp_path, **DEPLOY)
    assert answer.returncode == 0, answer.stderr
    assert "no issues (0 silenced)" in answer.stdout
    assert not (tmp_path / "secret_key").exists()


def test_the_local_profile_makes_its_key_once_for_its_owner_alone(tmp_path: Path) -> None:
    assert read_settings(tmp_path).returncode == 0
    key = tmp_path / "secret_key"
    first = key.read_text()
    assert len(first) >= 50
    assert key.stat().st_mode & 0o777 == 0o600
    assert read_settings(tmp_path, ASK="SECRET_KEY").stdout.strip() == first


def test_debug_is_off_in_both(tmp_path: Path) -> None:
    assert read_settings(tmp_path, ASK="DEBUG").stdout.strip() == "False"
    assert read_settings(tmp_path, ASK="DEBUG", **DEPLOY).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ROOTSTOCK_PROFILE", "production", "use 'local' or 'deploy'"),
        ("ROOTSTOCK_STATEMENT_SECONDS", "soon", "give a whole number"),
        ("ROOTSTOCK_LOG_LEVEL", "LOUD", "use DEBUG, INFO"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(name: str, value: str, words: str, tmp_path: Path) -> None:
    answer = read_settings(tmp_path, **{name: value})
    assert answer.returncode != 0
    assert words in answer.stderr


def test_commands_work_on_the_hub_that_the_folder_was_filled_from(tmp_path: Path) -> None:
    (tmp_path / "endpoint").write_text("http://127.0.0.1:8001")
    answer = read_settings(tmp_path, ASK="HUB_ENDPOINT HUB_STORAGE_HOSTS")
    assert answer.stdout.strip() == "http://127.0.0.1:8001 ()"


def test_only_web_processes_have_a_time_limit_on_postgresql(tmp_path: Path) -> None:
    url = DEPLOY["DATABASE_URL"]
    web = read_settings(tmp_path, ASK="DATABASES", DATABASE_URL=url, ROOTSTOCK_ROLE="web")
    assert "statement_timeout=5000" in web.stdout
    assert "statement_timeout" not in read_settings(tmp_path, ASK="DATABASES", DATABASE_URL=url).stdout
