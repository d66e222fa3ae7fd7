"""The merge job: compares the weights of some models, by a sample or number by number, and keeps what that told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubapp.catalog.models import Repo
from hubapp.jobs.models import Job
from hubapp.merging import queries, services
from hubapp.weights import services as weights_services
from workers.errors import BadRequest
from workers.merging.opened import weigh
from workers.merging.records import Candidate
from workers.steps import Outcome, heartbeat, step
from workers.steps.weights import source_for
from workers.weights import inspecting
from workers.weights.reading import Source


@step("merge")
def compare(job: Job, cursor: Any) -> Outcome:
    """Read what wasn't read yet of the models' headers; then compare their weights, and store that."""
    repos = _repos(job.params["models"])
    missing = _inspected(job, repos)
    if missing is not None:
        return missing
    found = queries.candidates(repos)
    asked = job.params.get("base")
    base = _repos([asked])[0] if asked else queries.base_of(found)
    beside = queries.bases_to_try(repos, found, base)
    missing = _inspected(job, [base] if base is not None else [])
    if missing is not None:
        return missing
    below = [each for each in queries.candidates(beside) if each.inspection.revision]
    everyone = {each.name: each for each in (*found, *below)}
    held = {repo.name: repo for repo in (*repos, *beside)}
    sampling = weigh(
        found,
        _sources(job, held, everyone),
        base=base.name if base is not None else "",
        below=below,
        full=bool(job.params.get("full")),
        heartbeat=lambda share: heartbeat(),
    )
    if sampling is None:
        raise BadRequest(
            "The weights of these models can't be laid beside each other: they have no tensors in common, are "
            "quantized, "
            "or could not be read. The merge's page says which."
        )
    revisions = {held[name].pk: each.inspection.revision for name, each in everyone.items()}
    progress = {
        "done": len(repos),
        "total": len(repos),
        "unit": "models",
        "bytes": sampling.bytes_read,
        "note": f"{sampling.share:.2%} of the numbers",
    }
    kept = sampling
    return Outcome(
        store=lambda: services.store(repos=repos, base=base, sampling=kept, revisions=revisions),
        progress=progress,
        done=True,
    )


def _repos(keys: list[int]) -> list[Repo]:
    """The repos of these keys, in order. Raises BadRequest where one is gone."""
    found = Repo.objects.in_bulk(keys)
    lost = [key for key in keys if key not in found]
    if lost:
        raise BadRequest(f"The model {lost[0]} is not stored any more.")
    return [found[key] for key in keys]


def _inspected(job: Job, repos: list[Repo]) -> Outcome | None:
    """The step that reads the headers of the first model whose present revision was not read; None where all were."""
    stored = {each.name: each.inspection for each in queries.candidates(repos)} if repos else {}
    for at, repo in enumerate(repos):
        revision = stored[repo.name].revision
        if revision and (not repo.sha or revision == repo.sha):
            continue
        if not repo.sha:
            raise BadRequest(f"{repo.name} can't be read: it is {repo.state}, and its revision is not known.")
        source = source_for(job, repo)
        read = weights_services.Read(
            repo.pk, inspecting.inspect(source, name=repo.name, revision=repo.sha), inspecting.METHOD
        )
        progress = {"done": at, "total": len(repos), "unit": "models", "note": "headers"}
        return Outcome(store=lambda read=read: weights_services.store(read=[read]), progress=progress)  # type: ignore[misc]
    return None


def _sources(job: Job, held: dict[str, Repo], everyone: dict[str, Candidate]) -> Callable[[str], Source]:
    def source(name: str) -> Source:
        inspection = everyone[name].inspection
        return source_for(job, held[name], schema=inspection.schema, revision=inspection.revision)

    return source
