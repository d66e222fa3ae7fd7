"""What every request passes through."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from hubapp import counters
from hubapp.middleware import logins
from hubapp.middleware.address import client_address
from hubapp.middleware.time_limit import TimeLimitMiddleware, is_timeout
from tests.support.needs import ROOT

PASSWORD = "a long enough passphrase"


# --- health ---------------------------------------------------------------------------------------------------------
def test_alive_without_a_database(client: Client) -> None:
    answer = client.get("/healthz", headers={"host": "10.0.0.7"})  # a probe by address, over http
    assert answer.status_code == 200
    assert answer.json() == {"alive": True}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.both_databases
@pytest.mark.django_db
def test_ready_with_a_migrated_database(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"database": True, "migrations": True}


@pytest.mark.django_db
def test_not_ready_while_a_migration_is_missing(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"database": True, "migrations": False}


# --- headers --------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/no/such/page/anywhere", "/"])
def test_every_answer_is_guarded(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-ID"])


@pytest.mark.django_db
def test_the_number_of_a_request_is_taken_from_a_proxy_only(client: Client, settings: Settings) -> None:
    assert client.get("/", headers={"x-request-id": "given-by-visitor"})["X-Request-ID"] != "given-by-visitor"
    settings.PROXIES = 1
    assert client.get("/", headers={"x-request-id": "given-by-proxy"})["X-Request-ID"] == "given-by-proxy"
    assert "\n" not in client.get("/", headers={"x-request-id": "two\nlines-of-it"})["X-Request-ID"]


# --- who is asking --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (1, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the left one was written by the visitor
        (2, "10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "", "10.0.0.1"),
        (0, "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::"),
        (0, "::ffff:203.0.113.9", "", "203.0.113.9"),
        (1, "10.0.0.1", "<script>", "unknown"),
        (0, "", "", "unknown"),
    ],
)
def test_the_visitor_s_address(settings: Settings, proxies: int, remote: str, forwarded: str, expected: str) -> None:
    settings.PROXIES = proxies
    request = RequestFactory().get(
        "/", REMOTE_ADDR=remote, **({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})
    )
    assert client_address(request) == expected


# --- sign-ins -------------------------------------------------------------------------------------------------------
def sign_in(name: str, password: str, address: str) -> HttpResponse:
    """Each time another visitor's browser: no cookies are shared."""
    return Client(REMOTE_ADDR=address).post(
        "/admin/login/", {"username": name, "password": password, "next": "/admin/"}
    )


@pytest.fixture
def admin_account(db: None) -> str:
    get_user_model().objects.create_superuser("keeper", "", PASSWORD)
    return "keeper"


@pytest.mark.usefixtures("admin_account")
def test_after_some_failures_even_the_right_password_is_not_looked_at() -> None:
    address = "198.51.100.10"
    for _ in range(logins.FAILURES_OF_NAME):
        assert sign_in("keeper", "wrong", address).status_code == 200
    answer = sign_in("keeper", PASSWORD, address)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= logins.WINDOW
    assert "Too many failed sign-ins" in answer.content.decode()
    # a name in another spelling is the same name
    assert sign_in("Keeper", PASSWORD, address).status_code == 429
    # somebody else, and the same person from elsewhere, are not shut out
    assert sign_in("another", "wrong", address).status_code == 200
    assert sign_in("keeper", PASSWORD, "198.51.100.11").status_code == 302


@pytest.mark.usefixtures("admin_account")
def test_success_forgives() -> None:
    address = "198.51.100.20"
    for _ in range(logins.FAILURES_OF_NAME - 1):
        sign_in("keeper", "wrong", address)
    assert sign_in("keeper", PASSWORD, address).status_code == 302
    for _ in range(logins.FAILURES_OF_NAME - 1):
        assert sign_in("keeper", "wrong", address).status_code == 200


@pytest.mark.usefixtures("admin_account")
def test_many_names_from_one_address_are_throttled_together() -> None:
    address = "198.51.100.30"
    for number in range(logins.FAILURES_OF_ADDRESS):
        counters.hit(f"login:{address}", window=logins.WINDOW)
        assert number < logins.FAILURES_OF_ADDRESS
    assert sign_in("keeper", PASSWORD, address).status_code == 429


# --- statements that take too long ----------------------------------------------------------------------------------
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.django_db
def test_an_endless_statement_is_ended_and_said_so(settings: Settings) -> None:
    settings.STATEMENT_SECONDS = 0.2

    def view(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute(ENDLESS)
        return HttpResponse("never")

    middleware = TimeLimitMiddleware(view)
    request = RequestFactory().get("/")
    began = time.monotonic()
    with pytest.raises(OperationalError) as caught:
        middleware(request)
    assert time.monotonic() - began < 5
    assert is_timeout(caught.value)
    answer = middleware.process_exception(request, caught.value)
    assert answer is not None
    assert answer.status_code == 503
    assert middleware.process_exception(request, ValueError("another matter")) is None
    with connection.cursor() as cursor:  # outside of a request there is no limit
        cursor.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1500000) SELECT count(*) FROM n"
        )
        assert cursor.fetchone() == (1_500_000,)


@pytest.mark.parametrize(("role", "ended"), [("web", True), ("", False)])
def test_postgresql_ends_statements_of_web_processes_alone(postgres_url: str, role: str, ended: bool) -> None:
    code = (
        "import django; django.setup()\n"
        "from django.db import connection, OperationalError\n"
        "from hubapp.middleware.time_limit import is_timeout\n"
        "try:\n    connection.cursor().execute('SELECT pg_sleep(1.5)'); print(False)\n"
        "except OperationalError as error:\n    print(is_timeout(error))"
    )
    env = {**os.environ, "DATABASE_URL": postgres_url, "ROOTSTOCK_ROLE": role, "ROOTSTOCK_STATEMENT_SECONDS": "1"}
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(ended)
