"""Make a token for the API."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from hubapp.api.services import make_token
from workers.errors import BadRequest


class Command(BaseCommand):
    help = "Make an API token for a user and print it, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the user that the token stands for")
        parser.add_argument("name", help="what it is for")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()
        try:
            owner = users.objects.get_by_natural_key(options["user"])
            self.stdout.write(make_token(owner=owner, name=options["name"]))
        except users.DoesNotExist:
            raise CommandError(f"There is no user {options['user']!r}: make one in the admin.") from None
        except BadRequest as error:
            raise CommandError(str(error)) from None
