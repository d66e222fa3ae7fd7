"""Print the API's description."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hubapp.api.snapshot import PATH, current


class Command(BaseCommand):
    help = "Print the OpenAPI description; --write renews the snapshot in the repository, --check compares with it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--write", action="store_true", help="renew the snapshot")
        parser.add_argument("--check", action="store_true", help="fail where code and snapshot differ")

    def handle(self, *args: Any, **options: Any) -> None:
        text = current()
        if options["write"]:
            PATH.write_text(text)
        elif options["check"]:
            if not PATH.exists() or PATH.read_text() != text:
                raise CommandError("The API differs from its snapshot: look at the difference, then openapi --write.")
        else:
            self.stdout.write(text, ending="")
