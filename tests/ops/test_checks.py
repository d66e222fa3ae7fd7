"""The system checks: each finds its fault, and is silent where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from hubapp import checks


def ids(found: list[checks.CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


def test_all_is_well_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (
        checks.sqlite_has_trigrams,
        checks.state_can_be_written,
        checks.hub_is_an_address,
        checks.broker_is_an_address,
        checks.secrets_are_not_examples,
    ):
        assert check(None) == []


def test_an_old_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.sqlite3, "sqlite_version_info", (3, 30, 0))
    assert ids(checks.sqlite_has_trigrams(None)) == ["ROOT.E001"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").write_text("")
    settings.VAR = tmp_path / "file" / "var"
    assert ids(checks.state_can_be_written(None)) == ["ROOT.E004"]


def test_a_broker_that_cannot_be_written(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "broker").write_text("")
    settings.VAR = tmp_path
    assert ids(checks.state_can_be_written(None)) == ["ROOT.E005"]
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert checks.state_can_be_written(None) == []


@pytest.mark.parametrize(
    "endpoint", ["huggingface.co", "https://", "ftp://hub.example.org", "https://me:pw@hub.example.org", ""]
)
def test_an_endpoint_that_is_none(endpoint: str, settings: Settings) -> None:
    settings.HUB_ENDPOINT = endpoint
    assert ids(checks.hub_is_an_address(None)) == ["ROOT.E006"]


def test_a_storage_host_that_is_none(settings: Settings) -> None:
    settings.HUB_STORAGE_HOSTS = ("cdn.example.org", "https://store.example.org/")
    assert ids(checks.hub_is_an_address(None)) == ["ROOT.E007"]


def test_a_token_for_an_http_hub(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    settings.HUB_ENDPOINT = "http://127.0.0.1:1"
    found = checks.hub_is_an_address(None)
    assert ids(found) == ["ROOT.W008"]
    assert "hf_x" not in str(found)
    settings.HUB_ENDPOINT = "https://hub.example.org"
    assert checks.hub_is_an_address(None) == []


def test_a_broker_without_scheme(settings: Settings) -> None:
    settings.REDIS_URL = "127.0.0.1:6379"
    assert ids(checks.broker_is_an_address(None)) == ["ROOT.E009"]


def test_an_example_key(settings: Settings) -> None:
    settings.SECRET_KEY = "please-change-me" * 4
    assert ids(checks.secrets_are_not_examples(None)) == ["ROOT.E010"]


@pytest.mark.both_databases
@pytest.mark.django_db
def test_trigrams_on_this_database() -> None:
    assert checks.postgresql_has_trigrams(None, databases=["default"]) == []
