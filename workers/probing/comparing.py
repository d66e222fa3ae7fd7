"""Which method serves a tree: each is fitted to part of its labelled models and judged on the rest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput
from workers.probing.calibration import calibration_error
from workers.probing.experts import Expert
from workers.probing.multiview import MultiView
from workers.probing.prober import Beat, Labels, Prober, quiet
from workers.probing.probex import ProbeX
from workers.probing.records import Quality, ReadingState
from workers.probing.stacks import Floats, Stack

LEAST_MODELS = 24  # labelled models that an expert needs …
LEAST_LABELS = 3  # … and labels
EACH = 2  # models of each label, at least, that are fitted to
SPARED = 20  # labels from which on some are spared for zero-shot
SPARED_SHARE = 0.15
HELD = 0.25  # of each label's models, half of them for validation and half for the test

Ids = NDArray[np.intp]


@dataclass(frozen=True)
class Split:
    """Places of models. ``spared``: models of the labels (``spared_labels``) that nothing is fitted to."""

    train: Ids
    validation: Ids
    test: Ids
    spared: Ids
    spared_labels: Ids
    kept_labels: Ids


def enough(models: int, labels: int) -> bool:
    """Whether an expert can be trained."""
    return models >= LEAST_MODELS and labels >= LEAST_LABELS


def split(labels: Labels, *, spare: bool, seed: int = 0) -> Split:
    """Divide models by label: those of spared labels apart, of each other label a quarter held out, at least one where
    it has three. ``labels`` ``[n]``, or 0/1 ``[n, labels]`` (then models are divided as they come).
    """
    dice = np.random.default_rng(seed)
    if labels.ndim == 2:
        order = dice.permutation(len(labels))
        held = max(2, int(len(order) * HELD))
        none = np.zeros(0, np.intp)
        every = np.arange(labels.shape[1], dtype=np.intp)
        return Split(np.sort(order[held:]), order[: held // 2], order[held // 2 : held], none, none, every)
    known = np.unique(labels)
    spared = np.zeros(0, np.intp)
    if spare and len(known) >= SPARED:
        spared = np.sort(dice.permutation(known)[: max(2, int(SPARED_SHARE * len(known)))]).astype(np.intp)
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    turn = 0
    for each in np.setdiff1d(known, spared):
        own = dice.permutation(np.flatnonzero(labels == each)).tolist()
        held = min(max(1, round(HELD * len(own))), len(own) - EACH) if len(own) > EACH else 0
        for place in own[:held]:
            parts["validation" if turn % 2 else "test"].append(place)
            turn += 1
        parts["train"] += own[held:]
    as_ids = {name: np.sort(np.array(places, np.intp)) for name, places in parts.items()}
    if not len(as_ids["validation"]) or not len(as_ids["test"]):
        raise BadInput("Too few models of each label to hold any out: none can be judged.")
    apart = np.flatnonzero(np.isin(labels, spared))
    return Split(**as_ids, spared=apart, spared_labels=spared, kept_labels=np.setdiff1d(known, spared).astype(np.intp))


def candidates(seed: int = 0) -> dict[str, Prober]:
    """What is compared: ProbeX as published, and ours."""
    return {each.method: each for each in (ProbeX(seed=seed), MultiView(seed=seed))}


def judge(
    probe: Prober, stack: Stack, labels: Labels, parts: Split, *, texts: Floats | None, names: tuple[str, ...],
    beat: Beat = quiet,
) -> Quality:  # fmt: skip
    """Fit to the training part, measure on the others. ``labels`` and ``texts`` are of all labels."""
    started = time.monotonic()
    several = labels.ndim == 2
    kept = parts.kept_labels
    own: Labels = labels if several else np.searchsorted(kept, labels)
    words = None if texts is None else texts[kept]
    expert = Expert(probe, tuple(names[k] for k in kept), text_digest="" if texts is None else "kept")
    expert.fit(
        stack.take(parts.train), own[parts.train],
        validation=(stack.take(parts.validation), own[parts.validation]), texts=words, beat=beat,
    )  # fmt: skip
    seconds = time.monotonic() - started
    test = stack.take(parts.test)
    proba = expert.probabilities(test)
    truth: Any = own[parts.test]
    order = np.argsort(-proba, axis=1)
    hits = truth[np.arange(len(truth))[:, None], order] > 0 if several else order == truth[:, None]
    zero = None
    if texts is not None and len(parts.spared):
        said = probe.embed(stack.take(parts.spared)) @ expert.text_map(texts[parts.spared_labels]).T
        zero = float(np.mean(parts.spared_labels[said.argmax(1)] == labels[parts.spared]))
    answers = expert.ask_stack(test)
    per_label = {
        names[k]: round(float(np.mean(hits[truth == at, 0])), 4)
        for at, k in enumerate(kept)
        if not several and np.any(truth == at)
    }
    return Quality(
        method=probe.method,
        layers=probe.layers_,
        models=len(parts.train),
        top1=round(float(hits[:, 0].mean()), 4),
        top5=round(float(hits[:, :5].any(1).mean()), 4),
        zero_shot=None if zero is None else round(zero, 4),
        calibration_error=round(calibration_error(proba.max(1), hits[:, 0], min(15, max(1, len(hits) // 10))), 4),
        auc=round(_macro_auc(proba, truth), 4) if several else None,
        answered=round(float(np.mean([a.state == ReadingState.ANSWERED for a in answers])), 4),
        seconds=round(seconds, 1),
        per_label=per_label,
    )


def better(ours: Quality, peer: Quality) -> bool:
    """Whether ours goes into service: it tells more held-out models right, and unseen labels no worse."""
    mine, other = (ours.auc, peer.auc) if ours.auc is not None and peer.auc is not None else (ours.top1, peer.top1)
    if ours.zero_shot is not None and peer.zero_shot is not None:
        return mine + ours.zero_shot > other + peer.zero_shot and mine >= other
    return mine > other


def _macro_auc(proba: NDArray[np.float64], truth: Any) -> float:
    """The mean area under the curve over labels that some test models have and some have not; .5 where none is such."""
    areas = []
    for column, wanted in zip(proba.T, np.asarray(truth).T > 0, strict=True):
        if wanted.any() and not wanted.all():
            ranks = np.argsort(np.argsort(column, kind="stable"), kind="stable") + 1.0
            positive = int(wanted.sum())
            areas.append((ranks[wanted].sum() - positive * (positive + 1) / 2) / (positive * (len(wanted) - positive)))
    return float(np.mean(areas)) if areas else 0.5


def final_split(labels: Labels, seed: int = 0) -> Split:
    """For the expert that goes into service: all labels, all models but those that it is calibrated on."""
    parts = split(labels, spare=False, seed=seed)
    return Split(
        np.sort(np.concatenate([parts.train, parts.test])), parts.validation, parts.test, parts.spared,
        parts.spared_labels, parts.kept_labels,
    )  # fmt: skip
