"""What tests of the API share: the crawled family that the pages are tested on, and staff's token."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User

from hubapp.api.services import make_token
from tests.web.conftest import crawled

__all__ = ["crawled"]


@pytest.fixture
def staff(db: None) -> User:
    """A member of staff who may start crawls."""
    user = User.objects.create_user("keeper", password="a long pass phrase", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_crawl"))
    return user


@pytest.fixture
def token(staff: User) -> str:
    return make_token(owner=staff, name="tests")
