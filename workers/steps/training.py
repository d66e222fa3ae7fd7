"""The train job: reads the labelled models of a tree, compares methods on held-out ones, puts the better into service.

It goes in bounded steps: a batch of models read, or one fit, which renews the lease every few batches. What was read
lies in a folder of the job until it ends; a fit that is interrupted begins anew, nothing before it is lost.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from hubapp.catalog.models import Repo
from hubapp.jobs import faults
from hubapp.jobs.models import Job
from hubapp.probing import queries, services
from hubapp.probing.models import Expert as ExpertRow
from hubapp.probing.services import Probed, Trained
from hubapp.weights import queries as weights_queries
from hubapp.weights import services as weights_services
from hubapp.weights.queries import Scope
from workers.errors import (
    BadInput,
    EncoderMissing,
    HostRefused,
    Interrupted,
    LeaseLost,
    RateLimited,
    RootstockError,
)
from workers.probing import labels as reading_labels
from workers.probing.labels import Labelled
from workers.probing.records import Abstention, Answer, ReadingState
from workers.steps import Outcome, heartbeat, step
from workers.steps.weights import source_for
from workers.weights import records
from workers.weights.opening import open_weights

if TYPE_CHECKING:
    from workers.probing.comparing import Split
    from workers.probing.experts import Expert
    from workers.probing.stacks import Weights

BATCH = 48  # models read in one step at most …
SECONDS = 5.0  # … or as many as take so long
FOLDS = 3  # in which labelled models are answered by experts that were not fitted to them
GROWN = 1.25  # so many times the models it was fitted to, and an expert is trained anew
NEXT = "probe"

State = dict[str, Any]


@step("train")
def train(job: Job, cursor: Any) -> Outcome:
    """The next piece of work for the next tree that is to get an expert."""
    state: State = dict(cursor or {})
    if not state:
        return _plan(job)
    if not state["trees"]:
        shutil.rmtree(_work(job), ignore_errors=True)
        return Outcome(
            store=onward(job, NEXT),
            cursor=state,
            progress=_train_progress(state, "done" if state["trained"] else "no tree has enough labelled models"),
            done=True,
        )
    try:
        return _STAGES[state["stage"]](job, state)
    except (BadInput, EncoderMissing) as error:  # this tree can't have one; the others can
        root, form = state["trees"][0]
        name = Repo.objects.filter(pk=root).values_list("name", flat=True).first() or str(root)
        told = (f"{name} ({form})", error.code, str(error), "")
        return Outcome(
            store=lambda: faults.record_faults(job=job, faults=[told]),
            cursor=_next_tree(state) | {"errors": state["errors"] + 1},
            progress=_train_progress(state, "left out"),
        )


def _nothing() -> None:
    """There is nothing to write."""


def onward(job: Job, kind: str) -> Callable[[], object]:
    """What the last step stores: the wish for the next kind of work, where the job is to go on."""
    if not job.params.get("onward"):
        return _nothing
    params = {key: value for key, value in job.params.items() if key != "again"}
    return lambda: weights_services.go_on(kind=kind, params=params)


def _work(job: Job) -> Path:
    return Path(settings.VAR) / "experts" / f"work-{job.pk}"


def _plan(job: Job) -> Outcome:
    """Which trees have enough labelled models, and no expert that knows them."""
    trees = []
    for root in queries.roots(Scope(job.params["scope"], job.params.get("repo"))):
        for form in (ExpertRow.Form.ADAPTER.value, ExpertRow.Form.FULL.value):
            known = _labelled(root, form)
            if not _enough(known):
                continue
            serving = ExpertRow.objects.filter(root_id=root, form=form, state=ExpertRow.State.IN_SERVICE).first()
            if serving is None or job.params.get("again") or len(known.of) >= GROWN * max(1, serving.fitted):
                trees.append([root, form])
    state: State = {
        "trees": trees,
        "stage": "read",
        "at": 0,
        "total": len(trees),
        "trained": 0,
        "errors": 0,
        "bytes": 0,
    }
    return Outcome(cursor=state, progress=_train_progress(state, "looking for labelled models"))


def _enough(known: Labelled) -> bool:
    from workers.probing.comparing import enough

    return enough(len(known.of), len(known.labels))


def _labelled(root: int, form: str) -> Labelled:
    members = queries.members(root)
    forms = queries.form_of(members)
    return reading_labels.label(queries.cards([key for key in members if forms.get(key) == form and key != root]))


def _next_tree(state: State) -> State:
    return state | {"trees": state["trees"][1:], "stage": "read", "at": 0, "quality": {}}


def _train_progress(state: State, note: str) -> dict[str, Any]:
    return {
        "done": state["total"] - len(state["trees"]),
        "total": state["total"],
        "unit": "trees",
        "note": note,
        "models": state["at"] if state["trees"] else 0,
        "trained": state["trained"],
        "errors": state["errors"],
        "bytes": state["bytes"],
    }


def _read_tree(job: Job, state: State) -> Outcome:
    """Read the next labelled models of the tree into the job's folder."""
    from workers.probing import gathering

    root, form = state["trees"][0]
    known = _labelled(root, form)
    ids = sorted(known.of)
    if "layers" not in state and form == ExpertRow.Form.FULL.value:
        schemas = [i.schema for i in weights_queries.inspections(ids).values() if i.schema is not None]
        state["layers"] = [[name, *shape] for name, shape in gathering.full_layers(schemas).items()]
    layers = _layers(state)
    chosen = ids[state["at"] : state["at"] + BATCH]
    if not chosen:
        return Outcome(cursor=state | {"stage": "compare", "method": 0}, progress=_train_progress(state, "comparing"))
    read: dict[int, Weights] = {}
    failed = []
    began, taken = time.monotonic(), 0
    inspections = weights_queries.inspections(chosen)
    for repo in Repo.objects.filter(pk__in=chosen).order_by("pk"):
        heartbeat()
        taken += 1
        try:
            weights, size = weights_of(job, repo, inspections[repo.pk], form, layers)
        except (RateLimited, HostRefused, LeaseLost, Interrupted):
            raise
        except RootstockError as error:
            failed.append((repo.name, error.code, str(error), ""))
            continue
        state["bytes"] += size
        if gathering.finite(weights):
            read[repo.pk] = weights
        if time.monotonic() - began > SECONDS:
            break
    if read:
        gathering.keep(_work(job) / f"{root}-{form}-{state['at']:06}.safetensors", read)
    state |= {"at": state["at"] + taken, "errors": state["errors"] + len(failed)}
    note = f"reading {min(state['at'], len(ids))} of {len(ids)} labelled models"
    store = (lambda: faults.record_faults(job=job, faults=failed)) if failed else _nothing
    return Outcome(store=store, cursor=state, progress=_train_progress(state, note))


def _layers(state: State) -> dict[str, tuple[int, int]]:
    return {name: (out, inner) for name, out, inner in state.get("layers", [])}


def weights_of(
    job: Job, repo: Repo, inspection: records.Inspection, form: str, layers: dict[str, tuple[int, int]]
) -> tuple[Weights, int]:
    """The layers of a repo that an expert reads, and how many bytes that took."""
    from workers.probing import gathering

    source = source_for(job, repo, schema=inspection.schema)
    opened = open_weights(source, schema=inspection.schema, adapter=inspection.adapter)
    if form == ExpertRow.Form.ADAPTER.value:
        return gathering.read_adapter(opened), source.bytes_read
    return gathering.read_full(opened, layers), source.bytes_read


class _Tree:
    """What the fits of one tree share."""

    def __init__(self, job: Job, root: int, form: str, state: State) -> None:
        import numpy as np

        from workers.probing import gathering
        from workers.probing.stacks import stack

        known = _labelled(root, form)
        paths = sorted(_work(job).glob(f"{root}-{form}-*.safetensors"))
        models = {key: weights for key, weights in gathering.kept(paths).items() if key in known.of}
        if form == ExpertRow.Form.ADAPTER.value:
            layers = gathering.adapter_layers(models.values())
            models = {key: _fitting(weights, layers) for key, weights in models.items()}
            models = {key: weights for key, weights in models.items() if weights}
        else:
            layers = _layers(state)
            models = {key: weights for key, weights in models.items() if set(layers) <= set(weights)}
        self.ids = sorted(models)
        self.labels = tuple(sorted({label for key in self.ids for label in known.of[key]}))
        self.claims = {key: known.of[key] for key in self.ids}
        if not _enough_here(len(self.ids), len(self.labels)):
            raise BadInput(f"Only {len(self.ids)} labelled models could be read: too few for an expert.")
        self.stack = stack([models[key] for key in self.ids], list(layers))
        place = {label: k for k, label in enumerate(self.labels)}
        many = np.zeros((len(self.ids), len(self.labels)), np.float32)
        for row, key in enumerate(self.ids):
            many[row, [place[label] for label in known.of[key]]] = 1
        self.several = known.several
        self.truth: Any = many if known.several else many.argmax(1)
        self.texts, self.digest = _texts(self.labels)


def _enough_here(models: int, labels: int) -> bool:
    from workers.probing.comparing import enough

    return enough(models, labels)


def _fitting(weights: Weights, layers: dict[str, tuple[int, int]]) -> Weights:
    """Those of the layers that the model has in the tree's shape; none where it has too few."""
    own = {name: v for name, v in weights.items() if name in layers and v.shape == layers[name]}
    return own if 2 * len(own) >= len(layers) else {}


def _texts(labels: Sequence[str]) -> tuple[Any, str]:
    """The labels' texts as the encoder has them, and its digest; (None, "") where there is no encoder."""
    from workers.searching.encoding import encoder

    try:
        found = encoder(settings.TEXT_ENCODER)
    except EncoderMissing:
        return None, ""
    return found.encode([reading_labels.sentence(label) for label in labels]), found.digest


@lru_cache(maxsize=1)
def _tree(job_id: int, root: int, form: str, at: int) -> _Tree:
    """What was read, kept in memory from one fit to the next."""
    job = Job.objects.get(pk=job_id)
    return _Tree(job, root, form, dict(job.cursor or {}))


def _beat(share: float) -> None:
    heartbeat()


def _compare(job: Job, state: State) -> Outcome:
    """Fit the next method to part of the models and measure it on the rest."""
    from workers.probing import comparing

    root, form = state["trees"][0]
    tree = _tree(job.pk, root, form, state["at"])
    methods = list(comparing.candidates())
    method = methods[state["method"]]
    parts: Split = comparing.split(tree.truth, spare=tree.texts is not None)
    quality = comparing.judge(
        comparing.candidates()[method], tree.stack, tree.truth, parts, texts=tree.texts, names=tree.labels, beat=_beat
    )
    found = {**state.get("quality", {}), method: quality.as_json()}
    state |= {"quality": found, "method": state["method"] + 1}
    if state["method"] == len(methods):
        ours, peer = (comparing.Quality(**_tupled(found[m])) for m in ("multiview", "probex"))
        chosen = "multiview" if comparing.better(ours, peer) else "probex"
        state |= {"stage": "cross", "chosen": chosen, "fold": 0, "answers": {}}
    return Outcome(
        cursor=state, progress=_train_progress(state, f"{method}: {quality.top1:.2f} of held-out models right")
    )


def _tupled(quality: dict[str, Any]) -> dict[str, Any]:
    return quality | {"layers": tuple(quality["layers"])}


def _cross(job: Job, state: State) -> Outcome:
    """Answer a third of the labelled models by an expert that was fitted to the others: a card that says something else
    than its weights must not be believed because it was learned.
    """
    import numpy as np

    from workers.probing import comparing

    root, form = state["trees"][0]
    tree = _tree(job.pk, root, form, state["at"])
    fold = np.random.default_rng(0).permutation(len(tree.ids)) % FOLDS == state["fold"]
    expert = _fit(tree, state["chosen"], comparing.final_split(tree.truth[~fold]), np.flatnonzero(~fold))
    asked = np.flatnonzero(fold)
    for place, answer in zip(asked, expert.ask_stack(tree.stack.take(asked)), strict=True):
        state["answers"][str(tree.ids[place])] = [
            answer.state.value,
            answer.reason.value if answer.reason else "",
            [[guess.label, guess.probability] for guess in answer.guesses],
            answer.distance,
        ]
    state["fold"] += 1
    if state["fold"] == FOLDS:
        state["stage"] = "final"
    return Outcome(
        cursor=state, progress=_train_progress(state, f"cross-checking the cards, {state['fold']} of {FOLDS}")
    )


def _fit(tree: _Tree, method: str, parts: Split, among: Any) -> Expert:
    from workers.probing import comparing
    from workers.probing.experts import Expert

    truth = tree.truth[among]
    expert = Expert(comparing.candidates()[method], tree.labels, tree.digest)
    return expert.fit(
        tree.stack.take(among[parts.train]),
        truth[parts.train],
        validation=(tree.stack.take(among[parts.validation]), truth[parts.validation]),
        texts=tree.texts,
        beat=_beat,
    )


def _final(job: Job, state: State) -> Outcome:
    """Fit the better method to all labelled models, and put it into service with its answers about these."""
    import numpy as np

    from workers.probing import comparing

    root, form = state["trees"][0]
    tree = _tree(job.pk, root, form, state["at"])
    expert = _fit(tree, state["chosen"], comparing.final_split(tree.truth), np.arange(len(tree.ids)))
    folder = _work(job) / f"expert-{root}-{form}"
    expert.save(folder)
    points = expert.prober.embed(tree.stack).astype("<f2")
    answers = state["answers"]
    revisions = dict(Repo.objects.filter(pk__in=tree.ids).values_list("pk", "sha"))
    trained = Trained(
        root_id=root,
        form=form,
        method=state["chosen"],
        layers=[[name, *shape] for name, shape in expert.layers_.items()],
        labels=list(tree.labels),
        several=tree.several,
        fitted=len(tree.ids),
        quality=state["quality"],
        text_digest=tree.digest,
        bytes_read=state["bytes"],
        folder=folder,
    )
    now = timezone.now()

    def store() -> None:
        row = services.keep_expert(trained=trained, job=job, now=now)
        services.keep_readings(
            found=[
                Probed(key, revisions[key], row.pk, _answer(answers[str(key)], point.tobytes()), tree.claims[key], True)
                for key, point in zip(tree.ids, points, strict=True)
                if str(key) in answers and key in revisions
            ],
            now=now,
        )

    done = _next_tree(state) | {"trained": state["trained"] + 1, "answers": {}}
    done.pop("layers", None)
    return Outcome(store=store, cursor=done, progress=_train_progress(done, f"{state['chosen']} is in service"))


def _answer(told: list[Any], point: bytes) -> Answer:
    from workers.probing.records import Guess

    state, reason, guesses, distance = told
    return Answer(
        ReadingState(state),
        tuple(Guess(label, p) for label, p in guesses),
        Abstention(reason) if reason else None,
        distance,
        b"" if reason == Abstention.FOREIGN else point,
    )


_STAGES = {"read": _read_tree, "compare": _compare, "cross": _cross, "final": _final}
