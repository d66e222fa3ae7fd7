"""Making and recognising tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from hubapp.api.models import Token
from workers.errors import BadRequest

PREFIX = "root_"
USE_NOTED_EVERY = timedelta(minutes=10)  # a write for each call would make every read a write


def make_token(*, owner: User, name: str) -> str:
    """A new token of ``owner``. It can't be had again: only its digest is stored. Raises BadRequest without a name."""
    name = name.strip()
    if not name or len(name) > 80:
        raise BadRequest("A token needs a name of at most 80 characters that says what it is for.")
    text = PREFIX + secrets.token_urlsafe(32)
    Token.objects.create(owner=owner, name=name, digest=_digest(text))
    return text


def owner_of(*, token: str) -> User | None:
    """Whom ``token`` stands for; None where it is unknown or its owner may not sign in any more."""
    if not token.startswith(PREFIX) or len(token) > 200:
        return None
    found = Token.objects.select_related("owner").filter(digest=_digest(token)).first()
    if found is None or not found.owner.is_active:
        return None
    now = timezone.now()
    if found.used_at is None or now - found.used_at > USE_NOTED_EVERY:
        Token.objects.filter(pk=found.pk).update(used_at=now)
    return found.owner


def _digest(text: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(text.encode()).hexdigest()
