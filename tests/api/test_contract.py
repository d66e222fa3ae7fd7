"""Schemathesis asks everything that the description allows, and much that it does not: no 5xx, nothing undeclared."""

from __future__ import annotations

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import override_settings
from hypothesis import HealthCheck, settings

from hubapp.crawling.models import Crawl
from hubapp.wsgi import application

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]


schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)


@pytest.fixture(autouse=True)
def _like_the_test_client(crawled: Crawl):
    """No limit on calls; and connections stay open after a request: this one holds the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        with override_settings(API_CALLS_PER_MINUTE=0):
            yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@schema.parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_declared(case, token: str):
    headers = {"Authorization": f"Bearer {token}"} if case.method == "POST" and "crawls" in case.path else None
    case.call_and_validate(headers=headers, checks=CHECKS)
