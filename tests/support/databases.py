"""One test, both databases: ``@pytest.mark.both_databases`` runs it on SQLite and on PostgreSQL in one session.

The connection named "default" is exchanged, so that the code under test needs no ``using=``. Code must ask
``connection.vendor`` (never the settings) what it runs on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import dj_database_url
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.support.servers import Postgres


def _use(wrapper: BaseDatabaseWrapper) -> None:
    connections.settings["default"] = wrapper.settings_dict
    connections["default"] = wrapper


class PostgresTestDatabase:
    """A migrated test database on PostgreSQL, made when first used and dropped at the end."""

    def __init__(self, cluster: Postgres) -> None:
        self._home = connections["default"]
        connections.settings["default"] = connections.configure_settings(
            {"default": dj_database_url.parse(cluster.url("postgres"), conn_max_age=60)}
        )["default"]
        self._wrapper = connections.create_connection("default")
        connections["default"] = self._wrapper
        try:
            self._wrapper.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        finally:
            self._wrapper.close()
            _use(self._home)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside the block the default connection, of this and of every new thread, leads to PostgreSQL."""
        _use(self._wrapper)
        try:
            yield
        finally:
            self._wrapper.close()
            _use(self._home)

    def drop(self) -> None:
        _use(self._wrapper)
        try:
            self._wrapper.creation.destroy_test_db("postgres", verbosity=0)
        finally:
            self._wrapper.close()
            _use(self._home)
