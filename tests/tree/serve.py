"""A real site with the families of ``families`` in it: ``python -m tests.tree.serve PORT CHILDREN``.

State goes to ROOTSTOCK_VAR. Ends by becoming the web server.
"""

from __future__ import annotations

import os
import sys

import django
from django.core.management import call_command


def main(port: str, children: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "hubapp.settings"
    django.setup()
    from tests.tree import families

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    grove = families.Grove()
    families.chain(grove)
    families.merge(grove)
    families.dirty(grove)
    families.hostile(grove)
    families.star(grove, children)
    grove.plant()
    server = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", port]
    os.execv(sys.executable, [*server, "hubapp.wsgi:application"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
