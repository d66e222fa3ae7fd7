"""Prints where a model comes from and what descends from it."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hubapp.catalog import queries as catalog
from hubapp.lineage import queries, terminal
from hubapp.lineage.exports import FORMATS, export
from hubapp.lineage.near import near_names
from workers.lineage.rules import read

MAX_NODES = 5_000


class Command(BaseCommand):
    help = "Print a model's line to its root and its descendants as a tree, or write them in another tool's format."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="the model's id, such as gpt2 or org/name; an old name or a Hub URL will do")
        parser.add_argument("--depth", type=int, default=2, help="generations of descendants (default: 2)")
        parser.add_argument("--children", type=int, default=8, help="children of each relation to show (default: 8)")
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--up", action="store_true", help="ancestors alone")
        way.add_argument("--down", action="store_true", help="descendants alone")
        parser.add_argument(
            "--format", choices=["tree", *FORMATS], default="tree", help="tree (default), or a format to export"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        asked = options["model"].strip()
        found = catalog.find(asked) or catalog.find(read(asked).target)
        if found is None:
            near = near_names(asked)
            hint = f" Did you mean {', '.join(near)}?" if near else " Crawl it first: manage.py crawl model " + asked
            raise CommandError(f"No model named {asked!r} is stored.{hint}")
        depth = max(0, options["depth"])
        up, down = not options["down"], not options["up"]
        if options["format"] != "tree":
            piece = queries.around(found.repo, up=up, depth=depth if down else 0, max_nodes=MAX_NODES)
            for part in export(piece, options["format"]):
                self.stdout.write(part, ending="")
            return
        self._draw(found.repo.pk, up=up, down=down, depth=depth, children=max(1, options["children"]))

    def _draw(self, key: int, *, up: bool, down: bool, depth: int, children: int) -> None:
        around = queries.neighbourhood(key, up=1, down=depth if down else 0, per_parent=children, max_nodes=MAX_NODES)
        line = queries.line(key, limit=200 if up else 1)
        if not up:
            line = terminal.Line(line.members[-1:], (), truncated=False)
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        style = terminal.Style(
            colour=self.stdout.isatty() and not self.style_is_off(),
            ascii_only=not encoding.lower().replace("-", "").startswith("utf"),
        )
        drawn = {*(b.id for b in around.nodes), *(b.id for b in line.members)}
        drawing = terminal.Drawing(line, around, queries.remarks_of(drawn), style, down)
        for text in terminal.lines(drawing):
            self.stdout.write(text)
        for remark in queries.findings(key):
            self.stdout.write(f"\n{style.clean(remark.title)}: {style.clean(remark.sentence)}")
        if around.truncated:
            self.stdout.write("\nThere is more: ask for fewer generations or children.")

    @staticmethod
    def style_is_off() -> bool:
        """Whether the user wants no colours (https://no-color.org)."""
        return bool(os.environ.get("NO_COLOR"))
