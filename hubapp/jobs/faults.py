"""What jobs could not use: noted with its reason, while the job goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hubapp.jobs.models import Fault, Job

if TYPE_CHECKING:
    from hubapp.jobs.leases import Lease

EXCERPT = 2_000  # characters kept of a row that could not be used: enough to see why
MESSAGE = 1_000


def record_fault(*, job: Job | Lease, subject: str, code: str, message: str, excerpt: str = "") -> None:
    """Note one row, page or repo that could not be used. The same one twice is noted once."""
    record_faults(job=job, faults=[(subject, code, message, excerpt)])


def record_faults(*, job: Job | Lease, faults: Iterable[tuple[str, str, str, str]]) -> None:
    """Note many: (subject, code, message, excerpt) each. Call it where the step stores its results."""
    pk = job.pk if isinstance(job, Job) else job.job_id
    Fault.objects.bulk_create(
        [
            Fault(
                job_id=pk,
                subject=clean(subject, 300),
                code=code[:60],
                message=clean(message, MESSAGE),
                excerpt=clean(excerpt, EXCERPT),
            )
            for subject, code, message, excerpt in faults
        ],
        ignore_conflicts=True,
        batch_size=500,
    )


def clean(text: str, limit: int) -> str:
    """Text that every database takes: no NUL, no lone surrogates, no longer than ``limit``."""
    text = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
