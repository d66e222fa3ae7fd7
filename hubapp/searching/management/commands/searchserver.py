"""``manage.py searchserver``: the process that holds the text encoder and vectors, in the foreground."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string


class Command(BaseCommand):
    help = "Answers searches by meaning until it is stopped: the pages ask it at ROOTSTOCK_SEARCH."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--bind", metavar="HOST", help="listen here, on the port of ROOTSTOCK_SEARCH")

    def handle(self, *args: Any, **options: Any) -> None:
        address = settings.SEARCH_ADDRESS
        if options["bind"]:
            port = urlsplit(address).port
            if port is None:
                raise CommandError(
                    f"ROOTSTOCK_SEARCH is {address!r}, which has no port: --bind needs http://host:port."
                )
            address = f"http://{options['bind']}:{port}"
        try:
            import_string("workers.steps.meanings.serve")(address)
        except OSError as error:
            raise CommandError(f"{address} can't be had ({error}): does another searchserver run?") from error
