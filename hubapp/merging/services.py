"""Writing of what comparing weights told, and asking for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import timezone

from hubapp.catalog.models import Repo
from hubapp.jobs import services as jobs
from hubapp.jobs.models import Job
from hubapp.merging import queries
from hubapp.merging.models import Comparison
from workers.merging import rules
from workers.merging.records import Sampling

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def ask(
    *,
    repos: Sequence[Repo],
    base: Repo | None = None,
    full: bool = False,
    by: AbstractBaseUser | None = None,
    send: bool = True,
) -> Job:
    """Ask for the weights of these models to be compared: by a sample, or (``full``) number by number.

    Without a ``base`` the nearest common ancestor by the lineage is taken, at the time the job runs. Raises BadRequest.
    """
    rules.check_names([repo.name for repo in repos])
    ordered = sorted(repos, key=lambda repo: repo.pk)
    params = {
        "models": [repo.pk for repo in ordered],
        "names": [repo.name for repo in ordered],
        "base": base.pk if base is not None else None,
        "full": full,
    }
    return jobs.enqueue(kind="merge", params=params, by=by, send=send)


def store(
    *,
    repos: Sequence[Repo],
    base: Repo | None,
    sampling: Sampling,
    revisions: Mapping[int, str],
    now: datetime | None = None,
) -> Comparison:
    """Keep a comparison in the place of an earlier one of the same models and base."""
    row, _ = Comparison.objects.update_or_create(
        key=queries.key_of(repos, base),
        defaults={
            "repos": [repo.pk for repo in repos],
            "base": base.pk if base is not None else None,
            "revisions": {str(key): revision for key, revision in revisions.items()},
            "figures": sampling.as_json(),
            "full": sampling.full,
            "share": sampling.share,
            "bytes_read": sampling.bytes_read,
            "version": sampling.version,
            "compared_at": now or timezone.now(),
        },
    )
    return row
