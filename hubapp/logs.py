"""One log for all processes: readable lines at home, JSON in deployment, never a secret.

Reads the environment, not the settings: the web server's own log uses it before Django is there.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import structlog

HIDDEN = "[hidden]"
SECRET_VARIABLES = ("HF_TOKEN", "SECRET_KEY", "ROOTSTOCK_ADMIN_PASSWORD")
URL_VARIABLES = ("DATABASE_URL", "REDIS_URL")
SHORTEST_SECRET = 6  # hiding shorter ones would eat ordinary words

# What is secret whatever its source: the Hub's tokens, authorisation headers, passwords inside URLs.
PATTERNS = (
    r"\bhf_[A-Za-z0-9]{16,}",
    r"(?i:(?<=\bbearer )|(?<=\bbasic ))[A-Za-z0-9+/_.~=-]{8,}",
    r"(?<=://)[^/\s:@\"']*:[^/\s@\"']*[^/\s@\"'*][^/\s@\"']*(?=@)",  # a row of asterisks is hidden already
)


def _secrets() -> list[str]:
    found = [os.environ.get(name, "").strip() for name in SECRET_VARIABLES]
    for name in URL_VARIABLES:
        try:
            found.append(urlsplit(os.environ.get(name, "")).password or "")
        except ValueError:
            continue
    return [secret for secret in found if len(secret) >= SHORTEST_SECRET]


def redactor() -> Callable[[str], str]:
    """A function that hides the secrets of this environment, as they are and as URLs and JSON spell them."""
    spelt = {form for secret in _secrets() for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])}
    literal = [re.escape(form) for form in sorted(spelt, key=len, reverse=True)]
    pattern = re.compile("|".join([*literal, *PATTERNS]))
    return lambda text: pattern.sub(HIDDEN, text)


SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def formatter() -> logging.Formatter:
    """What turns a record, ours or a library's, into a line."""
    as_json = os.environ.get("ROOTSTOCK_PROFILE") == "deploy"
    render: Any = (
        structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    hide = redactor()

    def render_without_secrets(logger: Any, name: str, event: Any) -> str:
        return hide(str(render(logger, name, event)))

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([structlog.processors.format_exc_info] if as_json else []),
            render_without_secrets,
        ],
    )


def configure() -> None:
    """Lead structlog into the standard library's logging, where handlers and levels are decided; warnings too, where
    each line is read by a machine."""
    if os.environ.get("ROOTSTOCK_PROFILE") == "deploy":
        logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def dict_config(level: str) -> dict[str, Any]:
    """Django's LOGGING: everything to stderr, where a supervisor or a container picks it up."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "hubapp.logs.formatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Our own line for each request says more than Django's; its errors come with a traceback.
            "django": {"handlers": [], "propagate": True, "level": "INFO"},
            "django.server": {"handlers": [], "propagate": True, "level": "WARNING"},
            "django.request": {"level": "ERROR"},
            # Scanners send any Host there is: not worth a traceback each.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            # One line for each message received and done; jobs log what they do.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            # Each request to the Hub at INFO would be the whole log of a crawl.
            "httpx": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
            "huggingface_hub": {"level": "WARNING"},
        },
    }
