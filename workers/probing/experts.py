"""An expert: a method fitted to one tree, with its labels, its calibration, and the right to say nothing.

Kept in a folder as safetensors and JSON: ``expert.json`` (what is not an array), ``method.safetensors``,
``router.safetensors`` and, alone so that the search process needs no more, ``text.safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput
from workers.probing.calibration import Temperature
from workers.probing.dense import Dense
from workers.probing.multiview import MultiView
from workers.probing.prober import Beat, Labels, Prober, quiet
from workers.probing.probex import ProbeX
from workers.probing.records import TOP, Abstention, Answer, Guess, ReadingState
from workers.probing.router import Router
from workers.probing.stacks import Floats, Stack, Update, Weights, matrix, stack
from workers.probing.statnn import StatNN
from workers.probing.textmaps import TextMap

METHODS: dict[str, type[Prober]] = {each.method: each for each in (StatNN, Dense, ProbeX, MultiView)}
FORMAT = 1
LAYERS_NEEDED = 0.5  # of an expert's layers that an adapter must change to be read
ANSWERED = 0.96  # of the validation models of the tree are to get an answer
TEXT_SCALE = 20.0  # logits over cosines with texts: between the fitted temperatures of the parts
SURE = 0.5  # a label this likely is never too unsure to be said


@dataclass
class Expert:
    """``fit`` on a tree's models, then ``ask`` about others.

    ``labels``: what can be answered. ``layers``: names and shapes of what it reads. ``least_``: a first guess below
    this probability is an abstention. ``text_digest``: of the text encoder whose space ``text_map`` starts from, ""
    where there is none.
    """

    prober: Prober
    labels: tuple[str, ...]
    text_digest: str = ""
    calibration_: Temperature = field(default_factory=Temperature)
    router_: Router = field(default_factory=Router)
    layers_: dict[str, tuple[int, int]] = field(default_factory=dict)
    low_rank_: bool = False
    least_: float = 0.0

    def fit(
        self,
        models: Stack,
        labels: Labels,
        *,
        validation: tuple[Stack, Labels],
        texts: Floats | None = None,
        beat: Beat = quiet,
    ) -> Expert:
        """Fit the method, then calibrate it and set its limits on the validation models. Raises BadInput."""
        self.prober.fit(models, labels, texts=texts, validation=validation, beat=beat)
        self.layers_ = {layer.name: layer.shape for layer in models.layers}
        self.low_rank_ = any(layer.low_rank for layer in models.layers)
        self.router_ = Router().fit(Stack.join([models, validation[0]]))
        logits = self.prober.scores(validation[0])
        self.calibration_ = Temperature().fit(logits, np.asarray(validation[1]))
        first = self._calibrated(logits).max(1)
        self.least_ = float(min(np.quantile(first, 1 - ANSWERED), SURE))
        return self

    def _calibrated(self, logits: Floats) -> NDArray[np.float64]:
        return self.calibration_.apply(logits, several=self.prober.several_)

    def probabilities(self, models: Stack) -> NDArray[np.float64]:
        """Calibrated ``[n, labels]``, whatever the router would say."""
        return self._calibrated(self.prober.scores(models))

    def text_map(self, texts: Floats) -> Floats:
        """Embeddings of texts ``[m, d]`` into the space of ``Answer.embedding``, unit rows. Raises BadInput."""
        return self.prober.text_map_(texts)

    # --- asking -----------------------------------------------------------------------------------------------------
    def ask(self, models: Sequence[Weights]) -> list[Answer]:
        """One answer for each model."""
        fits = [k for k, model in enumerate(models) if self.can_read(model)]
        answers = [Answer(ReadingState.ABSTAINED, reason=Abstention.OTHER_LAYERS) for _ in models]
        if fits:
            read = self.readable([models[k] for k in fits])
            for k, answer in zip(fits, self.ask_stack(read), strict=True):
                answers[k] = answer
        return answers

    def ask_stack(self, models: Stack) -> list[Answer]:
        """One answer for each model of a stack with this expert's layers."""
        distances = self.router_.distance(models)
        proba = self.probabilities(models)
        embedded = self.prober.embed(models).astype("<f2")
        found = []
        for row, distance, point in zip(proba, distances, embedded, strict=True):
            best = np.argsort(-row, kind="stable")[:TOP]
            guesses = tuple(Guess(self.labels[k], round(float(row[k]), 4)) for k in best)
            away = round(float(distance), 4)
            if not np.isfinite(row).all() or away > 1.0:
                found.append(Answer(ReadingState.ABSTAINED, reason=Abstention.FOREIGN, distance=away))
            elif guesses[0].probability < self.least_:
                unsure = Answer(ReadingState.ABSTAINED, guesses, Abstention.UNSURE, away, point.tobytes())
                found.append(unsure)
            else:
                found.append(Answer(ReadingState.ANSWERED, guesses, None, away, point.tobytes()))
        return found

    def can_read(self, model: Weights) -> bool:
        there = 0
        for name, shape in self.layers_.items():
            value = model.get(name)
            if value is None:
                continue
            if isinstance(value, Update) != self.low_rank_:
                return False
            if (value.shape if isinstance(value, Update) else matrix(value).shape) != shape:
                return False
            there += 1
        needed = LAYERS_NEEDED * len(self.layers_) if self.low_rank_ else len(self.layers_)
        return there >= max(1, needed)

    def readable(self, models: Sequence[Weights]) -> Stack:
        if not self.low_rank_:
            return stack(models, list(self.layers_))
        empty = {n: Update(np.zeros((o, 1), "f"), np.zeros((1, i), "f")) for n, (o, i) in self.layers_.items()}
        return stack([{**empty, **{n: model[n] for n in self.layers_ if n in model}} for model in models], list(empty))

    # --- keeping ----------------------------------------------------------------------------------------------------
    def save(self, folder: Path) -> None:
        """Into a folder of its own; what was there under these names is replaced."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(_plain(self.prober.state()), folder / "method.safetensors")
        save_file(_plain(self.router_.state()), folder / "router.safetensors")
        if self.text_digest:
            mapped = self.prober.text_map_.state() | {"text.scale": np.array([TEXT_SCALE], np.float32)}
            save_file(_plain(mapped), folder / "text.safetensors")
        about = {
            "format": FORMAT,
            "method": self.prober.method,
            "parameters": self.prober.get_params(),
            "labels": self.labels,
            "several": self.prober.several_,
            "text_digest": self.text_digest,
            "temperature": self.calibration_.temperature_,
            "shift": self.calibration_.shift_,
            "least": self.least_,
            "low_rank": self.low_rank_,
            "layers": {name: list(shape) for name, shape in self.layers_.items()},
        }
        (folder / "expert.json").write_text(json.dumps(about, indent=1))


def load(folder: Path) -> Expert:
    """The expert that was kept there. Raises BadInput where there is none, or one of another format."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        about = json.loads((folder / "expert.json").read_text())
        if about["format"] != FORMAT:
            raise BadInput(
                f"The expert in {folder} has format {about['format']}; this version reads {FORMAT}: train it anew."
            )
        prober = METHODS[about["method"]](**about["parameters"])
        prober.restore(load_file(folder / "method.safetensors"))
        router = Router.restored(load_file(folder / "router.safetensors"))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise BadInput(f"There is no readable expert in {folder} ({error}): train it anew.") from error
    return Expert(
        prober=prober,
        labels=tuple(about["labels"]),
        text_digest=about["text_digest"],
        calibration_=Temperature(about["temperature"], about["shift"]),
        router_=router,
        layers_={name: (int(shape[0]), int(shape[1])) for name, shape in about["layers"].items()},
        low_rank_=about["low_rank"],
        least_=about["least"],
    )


def load_text_map(folder: Path) -> tuple[TextMap, str] | None:
    """The map from texts of the expert in this folder and the digest of their encoder; None where it has none.

    Needs neither torch nor the method's code.
    """
    from safetensors.numpy import load_file

    if not (folder / "text.safetensors").is_file():
        return None
    found = TextMap.restored(load_file(folder / "text.safetensors"))
    digest = str(json.loads((folder / "expert.json").read_text())["text_digest"])
    return (found, digest) if found is not None else None


def route(experts: Sequence[Expert], model: Weights) -> int | None:
    """Which expert's tree the model belongs to: the nearest of those whose layers it has; None where all are beyond
    their limits.
    """
    best: tuple[float, int] | None = None
    for k, expert in enumerate(experts):
        if not expert.can_read(model):
            continue
        away = float(expert.router_.distance(expert.readable([model]))[0])
        if away <= 1.0 and (best is None or away < best[0]):
            best = (away, k)
    return best[1] if best is not None else None


def _plain(state: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """As safetensors take them: contiguous."""
    return {name: np.ascontiguousarray(array) for name, array in state.items()}
