"""The tests' own ground: both databases, private servers, no way out."""

from __future__ import annotations

import socket
import threading

import psycopg
import pytest
import redis
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from tests.support.sockets import OutsideTheMachine


@pytest.mark.both_databases
@pytest.mark.django_db
def test_a_marked_test_runs_on_each_database(database: str) -> None:
    assert connection.vendor == database
    get_user_model().objects.create(username="left behind?")
    assert get_user_model().objects.count() == 1


@pytest.mark.django_db
def test_an_unmarked_test_runs_on_sqlite() -> None:
    assert connection.vendor == "sqlite"
    assert get_user_model().objects.count() == 0


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_another_thread_meets_the_same_database(database: str) -> None:
    seen: list[object] = []

    def work() -> None:
        with transaction.atomic():
            get_user_model().objects.create(username="from a thread")
        seen.append(connection.vendor)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [database]
    assert get_user_model().objects.filter(username="from a thread").exists()


def test_a_database_of_one_s_own(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_redis_of_one_s_own(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


def test_no_way_out() -> None:
    with socket.socket() as sock, pytest.raises(OutsideTheMachine):
        sock.connect(("192.0.2.1", 80))
    with pytest.raises(OutsideTheMachine):
        socket.getaddrinfo("huggingface.co", 443)
