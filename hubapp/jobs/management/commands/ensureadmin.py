"""Makes the account of the person in charge, once."""

from __future__ import annotations

import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

VARIABLE = "ROOTSTOCK_ADMIN_PASSWORD"


class Command(BaseCommand):
    help = (
        "Make the admin's account where there is none. In the local profile a password is generated and kept in "
        f"admin_password under ROOTSTOCK_VAR, readable by its owner alone; the deploy profile takes it from {VARIABLE}."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", default="admin", help="the account's name (default: admin)")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        users = User.objects
        given = os.environ.get(VARIABLE, "")
        if settings.DEPLOY and not given and not users.filter(is_superuser=True, is_active=True).exists():
            raise CommandError(f"The deploy profile generates no password: set {VARIABLE}, run this once, unset it.")
        with transaction.atomic():
            if users.filter(username=name).exists():
                self._say(options, f"The account {name} exists.")
                return
            if settings.DEPLOY and not given:
                self._say(options, "Another account is in charge already.")
                return
            if given:
                try:
                    validate_password(given)
                except ValidationError as error:
                    raise CommandError(f"{VARIABLE} is refused: {' '.join(error.messages)}") from error
            path = Path(settings.VAR) / "admin_password"
            password = given or _kept(path)
            users.create_superuser(username=name, email="", password=password)
        self._say(options, f"Made the account {name}; its password is " + (f"in {path}." if not given else "as given."))

    def _say(self, options: dict[str, Any], text: str) -> None:
        if options["verbosity"] > 0:
            self.stdout.write(text)


def _kept(path: Path) -> str:
    """The password in ``path``, made now if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(18) + "\n")
    except FileExistsError:
        path.chmod(0o600)
    return path.read_text().strip()
