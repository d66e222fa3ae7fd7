"""A process that grabs jobs as fast as it can: ``python -m tests.jobs.racer START NUMBER…``.

Prints, as JSON, which jobs it brought to their end and how often it lost a race for a lease.
"""

from __future__ import annotations

import json
import random
import sys
import time

from tests.jobs.counting import app  # noqa: F401 - sets Django up

from hubapp.jobs import services  # isort: skip
from hubapp.jobs.models import FINAL_STATES, Job  # isort: skip
from workers import tasks  # isort: skip


def main() -> None:
    """Take every job in a random order until all have ended."""
    start, numbers = float(sys.argv[1]), [int(text) for text in sys.argv[2:]]
    time.sleep(max(0.0, start - time.time()))
    won, lost = [], 0
    while numbers:
        random.shuffle(numbers)
        for number in numbers:
            lease = services.claim(job_id=number)
            if lease is None:
                lost += 1
                continue
            won.append(number)
            tasks.run(lease)
        ended = Job.objects.filter(pk__in=numbers, state__in=FINAL_STATES).values_list("pk", flat=True)
        numbers = [number for number in numbers if number not in set(ended)]
    sys.stdout.write(json.dumps({"won": won, "lost": lost}))


if __name__ == "__main__":
    main()
