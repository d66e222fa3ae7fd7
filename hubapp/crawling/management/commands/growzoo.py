"""Grows a zoo for the sample hub. A thin command: the product imports nothing of the sample hub, it runs its module."""

from __future__ import annotations

import runpy
import sys
from argparse import REMAINDER
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Train the sample hub's zoo of small models and pack it into a folder, for make run CONTENT=zoo:FOLDER."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """The options are those of ``python -m samplehub.zoo``; Django's own parser would refuse them."""
        self.handle(wish=argv[2:])

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("wish", nargs=REMAINDER, help="options of python -m samplehub.zoo")

    def handle(self, *args: Any, wish: list[str], **options: Any) -> None:
        sys.argv = ["growzoo", *wish]
        runpy.run_module("samplehub.zoo", run_name="__main__")  # ends in SystemExit with its status
