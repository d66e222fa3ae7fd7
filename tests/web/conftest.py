"""What tests of the pages share: a crawled family, in a transaction that ends with the module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction

from hubapp.crawling.models import Crawl
from hubapp.web import families, home
from tests.factories import crawl_rows, family_rows


@pytest.fixture(scope="module")
def crawled(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[Crawl]:
    """The family of ``tests.factories``, crawled over HTTP and grown; gives the crawl."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        block = transaction.atomic()
        block.__enter__()
        try:
            yield crawl_rows(family_rows())
        finally:
            transaction.set_rollback(True)
            block.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Each test asks the database anew."""
    for function in (home._totals, home._largest, families._largest):
        function.forget()  # type: ignore[attr-defined]
