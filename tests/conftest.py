"""What all tests share: where they may write, whom they may call, which servers they can have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from samplehub import Running, serve
from tests.support.databases import PostgresTestDatabase
from tests.support.needs import SHARED, SkipReport, chromium_path, require
from tests.support.servers import Postgres, postgres_server, redis_server
from tests.support.site import Site, running_site
from tests.support.sockets import only_loopback

# A busy machine is no fault of the code: how long an example takes says nothing here.
hypothesis.settings.register_profile("rootstock", deadline=None)
hypothesis.settings.load_profile("rootstock")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_databases: run on SQLite and on PostgreSQL")
    config.addinivalue_line("markers", "slow: real processes or a browser; runs after the quick tests")
    config.pluginmanager.register(SkipReport(), "rootstock-skips")
    only_loopback()


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["ROOTSTOCK_VAR"], ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_databases"):
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first: a mistake shows in seconds. The browser last: Playwright leaves an event loop behind, in which
    Django would refuse to ask its database. The sort is stable."""

    def turn(item: pytest.Item) -> int:
        if "chromium" in getattr(item, "fixturenames", ()):
            return 2
        return 1 if item.get_closest_marker("slow") else 0

    items.sort(key=turn)


# --- servers --------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL cluster: ``postgres.create()`` gives the URL of a new, empty database."""
    require("postgres")
    with postgres_server() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database (for processes of their own; not migrated)."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a private Redis, shared by the session: flush or prefix what you put there."""
    require("redis")
    with redis_server() as url:
        yield url


@pytest.fixture
def hub() -> Iterator[Running]:
    """A sample hub with its own collection, in a thread: ``hub.url``, ``hub.faults(...)``, ``hub.change(...)``."""
    with serve("collection") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The whole stack as ``make run`` starts it, on a hub of 300 generated models. Takes ten seconds: mark it slow."""
    with running_site(tmp_path / "var", environment={"CONTENT": "generated:300"}) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    require("chromium")
    path = chromium_path()
    assert path
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real rows and adapters beside the checkout, where there is one."""
    require("shared")
    return SHARED


# --- the database of the test's own process -------------------------------------------------------------------------
@pytest.fixture(scope="session")
def _postgres_test_database(
    postgres: Postgres, django_db_setup: None, django_db_blocker: pytest.FixtureRequest
) -> Iterator[PostgresTestDatabase]:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        database = PostgresTestDatabase(postgres)
    yield database
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        database.drop()


@pytest.fixture(scope="session", autouse=True)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The vendor that this test's Django runs on: "sqlite", or both in turn when marked ``both_databases``."""
    vendor = getattr(request, "param", "sqlite")
    if vendor == "sqlite":
        yield vendor
        return
    with request.getfixturevalue("_postgres_test_database").in_use():
        yield vendor
