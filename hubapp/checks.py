"""What must hold before the site starts, each with an id of its own: ``manage.py check`` (add ``--database default``
for what only a connection can tell)."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.db import DatabaseError, connections

OLDEST_SQLITE = (3, 35, 0)  # RETURNING; the trigram tokeniser came with 3.34


@register()
def sqlite_has_trigrams(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """ROOT.E001, ROOT.E002: the embedded database can search."""
    if not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return []
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        return [
            Error(
                f"SQLite is {sqlite3.sqlite_version}; {needed} or newer is needed.",
                hint="Use a Python that was built with a newer SQLite, or set DATABASE_URL to a PostgreSQL.",
                id="ROOT.E001",
            )
        ]
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5(text, tokenize='trigram')")
    except sqlite3.OperationalError as error:
        return [
            Error(
                f"This SQLite can't search by trigrams ({error}).",
                hint="Use a Python whose SQLite has FTS5, or set DATABASE_URL to a PostgreSQL.",
                id="ROOT.E002",
            )
        ]
    finally:
        connection.close()
    return []


@register(Tags.database)
def postgresql_has_trigrams(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """ROOT.W003: pg_trgm is there or can be made."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor != "postgresql":
            continue
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
                if cursor.fetchone() is None:
                    found.append(
                        Caution(
                            "PostgreSQL offers no pg_trgm: search by parts of names will be slow, by typos off.",
                            hint="Install the contrib extensions (Debian: they come with postgresql).",
                            id="ROOT.W003",
                        )
                    )
        except DatabaseError:
            continue  # no connection: Django's own commands say so better
    return found


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@register()
def state_can_be_written(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """ROOT.E004, ROOT.E005: ROOTSTOCK_VAR, and the folders of the broker that needs no server."""
    if not _is_writable(settings.VAR):
        return [
            Error(
                f"{settings.VAR} can't be written to.",
                hint="Set ROOTSTOCK_VAR to a folder that this user owns.",
                id="ROOT.E004",
            )
        ]
    if not settings.REDIS_URL and not _is_writable(settings.VAR / "broker"):
        return [
            Error(
                f"{settings.VAR / 'broker'} can't be written to: no job would reach a worker.",
                hint="Give the folder to this user (was it made by root?), or set REDIS_URL.",
                id="ROOT.E005",
            )
        ]
    return []


@register()
def hub_is_an_address(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """ROOT.E006, ROOT.E007, ROOT.W008: the hub's address, its storage hosts, the token."""
    parts = urlsplit(settings.HUB_ENDPOINT)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        return [
            Error(
                f"HF_ENDPOINT is {settings.HUB_ENDPOINT!r}, which is no address of a hub.",
                hint="Give scheme and host alone, for example https://huggingface.co.",
                id="ROOT.E006",
            )
        ]
    found: list[CheckMessage] = []
    odd = [host for host in settings.HUB_STORAGE_HOSTS if "/" in host or ":" in host or not host.strip(".")]
    if odd:
        found.append(
            Error(
                f"ROOTSTOCK_STORAGE_HOSTS holds {odd[0]!r}, which is no host name.",
                hint="Give names alone, separated by commas: cdn.example.org,store.example.org",
                id="ROOT.E007",
            )
        )
    if os.environ.get("HF_TOKEN") and parts.scheme != "https":
        found.append(
            Caution(
                f"HF_TOKEN is set, but the hub is reached by http ({parts.hostname}): the token will not be sent.",
                hint="Use an https address, or unset HF_TOKEN.",
                id="ROOT.W008",
            )
        )
    return found


@register()
def broker_is_an_address(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """ROOT.E009: REDIS_URL."""
    if settings.REDIS_URL and urlsplit(settings.REDIS_URL).scheme not in {"redis", "rediss", "unix"}:
        return [
            Error(
                "REDIS_URL is no address of a Redis.",
                hint="For example redis://:password@host:6379/0, or rediss:// with TLS.",
                id="ROOT.E009",
            )
        ]
    return []


@register(deploy=True)
def secrets_are_not_examples(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """ROOT.E010: a secret that was copied from a text is none."""
    words = ("change", "example", "secret", "password", "insecure")
    if any(word in settings.SECRET_KEY.lower() for word in words):
        return [
            Error(
                "SECRET_KEY looks like an example.",
                hint="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(50))'",
                id="ROOT.E010",
            )
        ]
    return []
