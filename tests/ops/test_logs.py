"""The log: readable at home, JSON in deployment, and never a secret in it."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from hubapp import logs

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz"


def line(monkeypatch: pytest.MonkeyPatch, record: logging.LogRecord, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return logs.formatter().format(record)


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("library", logging.WARNING, __file__, 1, message, values, info)


@pytest.mark.parametrize("profile", ["local", "deploy"])
@pytest.mark.parametrize(
    ("secret", "variable"),
    [
        ("s3cr3t-key-of-this-site", "SECRET_KEY"),
        (TOKEN, "HF_TOKEN"),
        ("tok&en/with+odd=signs", "HF_TOKEN"),
        ("first-password-of-all", "ROOTSTOCK_ADMIN_PASSWORD"),
    ],
)
def test_what_the_environment_holds_secret_never_shows(
    monkeypatch: pytest.MonkeyPatch, profile: str, secret: str, variable: str
) -> None:
    shown = line(monkeypatch, record("tried %s of 3", secret), ROOTSTOCK_PROFILE=profile, **{variable: secret})
    assert secret not in shown
    assert logs.HIDDEN in shown


@pytest.mark.parametrize("profile", ["local", "deploy"])
def test_secrets_in_tracebacks_urls_and_headers_never_show(monkeypatch: pytest.MonkeyPatch, profile: str) -> None:
    try:
        raise ValueError(f"GET https://hub.example.org Authorization: Bearer {TOKEN}")
    except ValueError as error:
        shown = line(
            monkeypatch,
            record("no connection to postgresql://me:p4ssw0rd!@db.example.org/rootstock", error=error),
            ROOTSTOCK_PROFILE=profile,
            DATABASE_URL="postgresql://me:p4ssw0rd!@db.example.org/rootstock",
        )
    assert TOKEN not in shown
    assert "p4ssw0rd" not in shown
    assert "db.example.org/rootstock" in shown
    assert "ValueError" in shown


def test_a_token_that_is_not_ours_never_shows_either(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOKEN not in line(monkeypatch, record("somebody pasted %s", TOKEN))


def test_ordinary_words_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "model bert-base at https://huggingface.co/google/bert:main, basic fields, a bearer of news, redis://:**@host"
    )
    assert text in line(monkeypatch, record(text), SECRET_KEY="bert")


def test_deploy_writes_one_json_object_for_each_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOTSTOCK_PROFILE", "deploy")
    handler = logging.StreamHandler()
    handler.setFormatter(logs.formatter())
    logger = logging.getLogger("rootstock.test")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel("INFO")
    try:
        with structlog.contextvars.bound_contextvars(request="abc123"):
            structlog.get_logger("rootstock.test").info("crawl.page", models=1000, note="two\nlines")
            logger.info("from a library: %d", 7)
    finally:
        logger.removeHandler(handler)
    ours, library = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert ours["event"] == "crawl.page"
    assert ours["models"] == 1000
    assert ours["note"] == "two\nlines"
    assert ours["level"] == "info"
    assert ours["request"] == library["request"] == "abc123"
    assert library["event"] == "from a library: 7"
    assert ours["timestamp"].endswith("Z")
