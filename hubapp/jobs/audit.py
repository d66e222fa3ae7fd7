"""Who did what: an entry in the admin's log beside each change that a person asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def record(*, by: AbstractBaseUser | None, target: models.Model, what: str, added: bool = False) -> None:
    """Note that ``by`` did ``what`` to ``target``. Without a person (a schedule, a command) nothing is noted."""
    if by is None or by.pk is None:
        return
    LogEntry.objects.create(
        user_id=by.pk,
        content_type=ContentType.objects.get_for_model(target, for_concrete_model=False),
        object_id=str(target.pk),
        object_repr=str(target)[:200],
        action_flag=ADDITION if added else CHANGE,
        change_message=what,
    )
