"""Ours: several views of all layers, and the likeness to the models whose training is known."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput
from workers.probing.calibration import softmax
from workers.probing.prober import (
    Beat,
    Labels,
    Prober,
    Recipe,
    checked,
    device,
    fit_network,
    load_modules,
    modules_state,
    packed,
    quiet,
    restored_heads,
    unpacked,
)
from workers.probing.reducing import Reduction, low_rank
from workers.probing.ridge import KernelRidge
from workers.probing.stacks import Floats, Layer, Stack, padded
from workers.probing.textmaps import TextMap, side_by_side, unit
from workers.probing.views import views

CHUNK = 256


class MultiView(Prober):
    """Two parts that see all layers at once, each of length one (``reducing``): kernel ridge regression on the
    likeness to the training models (``ridge``), and ``members`` small networks of four views (``views``) fitted to
    labels and texts together. Both end in the labels' texts; their embeddings lie side by side, so that a dot product
    with a text is the mean of both cosines. How much each part says of the labels is fitted on validation models.

    ``probes`` per view and side, ``dim`` of a network's embedding, ``ridge_share`` of the ridge part in the embedding.
    """

    method = "multiview"
    reference = "MVProbe, ICML 2026 (the views); Rifkin and Lippert, 2007 (the ridge)"

    def __init__(
        self,
        *,
        probes: int = 16,
        dim: int = 128,
        members: int = 2,
        epochs: int = 30,
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        batch: int = 128,
        ridge_share: float = 0.4,
        seed: int = 0,
    ) -> None:
        self.probes = probes
        self.dim = dim
        self.members = members
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch = batch
        self.ridge_share = ridge_share
        self.seed = seed

    centre_: Floats | None
    texts_: Floats | None

    # --- fitting ----------------------------------------------------------------------------------------------------
    def fit(
        self,
        stack: Stack,
        labels: Labels,
        *,
        texts: Floats | None = None,
        validation: tuple[Stack, Labels] | None = None,
        beat: Beat = quiet,
    ) -> Self:
        """See ``Prober.fit``."""
        labels, self.classes_, self.several_ = checked(stack, labels, texts)
        self.reduction_ = Reduction().fit(stack)
        reduced = self.reduction_.apply(stack)
        onehot = labels if self.several_ else np.eye(self.classes_, dtype=np.float32)[labels.astype(np.intp)]
        onehot = np.asarray(onehot, np.float32)
        self.centre_ = self.texts_ = None
        if texts is not None:
            self.centre_ = np.asarray(texts.mean(0), np.float32)
            self.texts_ = unit(texts - texts.mean(0))
        said = onehot if self.texts_ is None else np.concatenate([onehot, mixed(onehot, self.texts_)], 1)
        self.ridge_ = KernelRidge().fit(reduced, said)
        beat(0.05)
        self._fit_views(reduced, labels, lambda share: beat(0.05 + 0.9 * share))
        self.weights_ = self._weigh(validation)
        beat(1.0)
        return self

    def _fit_views(self, reduced: Stack, labels: Labels, beat: Beat) -> None:
        import torch

        factors = low_rank(reduced)
        self.shapes_ = _groups(factors)
        data = _grouped(factors)
        recipe = Recipe(
            dim=self.dim,
            epochs=self.epochs,
            lr=self.lr,
            weight_decay=self.weight_decay,
            batch=self.batch,
            seed=self.seed,
            loss="both",
            one_cycle=True,
            temperature=0.1,
        )
        self.body_ = self._body(torch.Generator().manual_seed(self.seed))
        self.heads_ = fit_network(
            self.body_,
            inputs=lambda ids: tuple(part[ids] for part in data),
            labels=labels,
            texts=self.texts_,
            classes=self.classes_,
            members=self.members,
            recipe=recipe,
            beat=beat,
        )

    def _body(self, generator: Any) -> Any:
        return views(self.shapes_, self.members, self.probes, self.dim, generator)

    def _weigh(self, validation: tuple[Stack, Labels] | None) -> NDArray[np.float64]:
        """How much each part counts in the scores: least negative log-likelihood on the validation models."""
        from scipy.optimize import minimize

        start = self._start()
        if validation is None or not len(validation[0]):
            return np.exp(start)
        parts = self._parts(validation[0])
        truth = np.asarray(validation[1])

        def loss(logs: NDArray[np.float64]) -> float:
            logits = np.tensordot(np.exp(logs), parts, 1)
            penalty = 0.01 * float(np.square(logs - start).sum())
            if self.several_:
                return float(np.mean(np.logaddexp(0.0, logits) - truth * logits)) + penalty
            chosen = np.log(softmax(logits)[np.arange(len(truth)), truth.astype(np.intp)] + 1e-12)
            return float(-chosen.mean()) + penalty

        found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 400})
        return np.exp(np.asarray(found.x, np.float64))

    def _start(self) -> NDArray[np.float64]:
        return np.log(np.array([1.0, 0.5, 1.0] if self.texts_ is not None else [1.0, 0.5]))

    # --- answering --------------------------------------------------------------------------------------------------
    def _views(self, reduced: Stack) -> Any:
        """``[members, n, dim]``."""
        import torch

        with torch.no_grad():
            parts = []
            for start in range(0, len(reduced), CHUNK):
                factors = low_rank(reduced.take(slice(start, start + CHUNK)))
                parts.append(self.body_(*_grouped(factors)))
            return torch.cat(parts, 1)

    def _parts(self, stack: Stack) -> Floats:
        """``[parts, n, labels]``: what the ridge says of each label, what the networks say, and cosines with texts;
        each standardised over the labels of a model, but the networks' own logits.
        """
        reduced = self.reduction_.apply(stack)
        seen = self._views(reduced)
        logits = (seen @ self.heads_.weight + self.heads_.bias).detach().mean(0).cpu().numpy()
        predicted = self.ridge_.predict(reduced)
        parts = [_standard(predicted[:, : self.classes_], self.several_), logits]
        if self.texts_ is not None and self.centre_ is not None:
            parts.append(
                _standard(self._joined(predicted, seen) @ self.text_map_(self.texts_ + self.centre_).T, self.several_)
            )
        return np.asarray(np.stack(parts), np.float32)

    def _joined(self, predicted: Floats, seen: Any) -> Floats:
        ridge = predicted[:, self.classes_ :] if self.texts_ is not None else predicted
        return side_by_side([ridge, *seen.detach().cpu().numpy()], self._shares())

    def _shares(self) -> tuple[float, ...]:
        return (self.ridge_share, *([(1 - self.ridge_share) / self.members] * self.members))

    def scores(self, stack: Stack) -> Floats:
        """See ``Prober.scores``."""
        return np.asarray(np.tensordot(self.weights_, self._parts(stack), 1), np.float32)

    def embed(self, stack: Stack) -> Floats:
        """See ``Prober.embed``."""
        reduced = self.reduction_.apply(stack)
        return self._joined(self.ridge_.predict(reduced), self._views(reduced))

    @property
    def text_map_(self) -> TextMap:
        """See ``Prober.text_map_``."""
        if self.centre_ is None:
            raise BadInput("This expert was fitted without texts: it can't be asked in words.")
        own = self.heads_.text.detach().cpu().numpy()
        return TextMap(self.centre_, (np.eye(len(self.centre_), dtype=np.float32), *own), self._shares())

    @property
    def layers_(self) -> tuple[str, ...]:
        """All that it was fitted to."""
        return self.reduction_.names_

    # --- keeping ----------------------------------------------------------------------------------------------------
    def state(self) -> dict[str, NDArray[Any]]:
        """See ``Prober.state``."""
        found = modules_state({"body.": self.body_, "heads.": self.heads_})
        found["size"] = np.array([self.classes_, int(self.several_)])
        found["weights"] = self.weights_
        found["shapes"] = np.array(self.shapes_)
        found["layers"] = packed(self.layers_)
        found |= {
            f"mean.{k}": self.reduction_.means_[n] for k, n in enumerate(self.layers_) if n in self.reduction_.means_
        }
        for k, layer in enumerate(self.ridge_.models_.layers):
            arrays = {"b": layer.factors[0], "a": layer.factors[1]} if layer.low_rank else {"full": layer.dense()}
            found |= {f"model.{k}.{side}": array.astype(np.float16) for side, array in arrays.items()}
        found |= {"dual": self.ridge_.dual_, "offset": self.ridge_.offset_}
        if self.centre_ is not None and self.texts_ is not None:
            found |= {"centre": self.centre_, "texts": self.texts_}
        return found

    def restore(self, state: dict[str, NDArray[Any]]) -> Self:
        """See ``Prober.restore``."""
        import torch

        self.classes_, self.several_ = int(state["size"][0]), bool(state["size"][1])
        self.weights_ = state["weights"]
        self.centre_, self.texts_ = state.get("centre"), state.get("texts")
        names = unpacked(state["layers"])
        means = {name: state[f"mean.{k}"] for k, name in enumerate(names) if f"mean.{k}" in state}
        self.reduction_ = Reduction(means, names)
        layers = []
        for k, name in enumerate(names):
            own = {
                side: state[f"model.{k}.{side}"].astype(np.float32)
                for side in ("b", "a", "full")
                if f"model.{k}.{side}" in state
            }
            layers.append(Layer(name, **own))
        self.ridge_ = KernelRidge(models_=Stack(tuple(layers)), dual_=state["dual"], offset_=state["offset"])
        self.shapes_ = [(int(g), int(o), int(i)) for g, o, i in state["shapes"]]
        self.body_ = self._body(torch.Generator().manual_seed(self.seed))
        load_modules(state, {"body.": self.body_})
        self.heads_ = restored_heads(state)
        return self


def mixed(labels: Floats, texts: Floats) -> Floats:
    """``[n, d]``: for each model the mean of its labels' texts, of length one (zero without labels)."""
    return unit(labels @ texts)


def _standard(scores: Floats, several: bool) -> Floats:
    """Each model's scores with mean 0 and deviation 1 over the labels; where a model has several, by one deviation."""
    if several:
        return np.asarray(scores / max(float(scores.std()), 1e-12), np.float32)
    centred = scores - scores.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(1, keepdims=True), 1e-12), np.float32)


def _by_shape(stack: Stack) -> dict[tuple[int, int], list[Layer]]:
    groups: dict[tuple[int, int], list[Layer]] = {}
    for layer in stack.layers:
        groups.setdefault(layer.shape, []).append(layer)
    return groups


def _groups(stack: Stack) -> list[tuple[int, int, int]]:
    return [(len(layers), *shape) for shape, layers in _by_shape(stack).items()]


def _grouped(stack: Stack) -> tuple[Any, ...]:
    """Per group of layers of one shape: B ``[n, layers, out, r]`` and A ``[n, layers, r, in]``, on the device."""
    import torch

    found = []
    for layers in _by_shape(stack).values():
        rank = max(layer.factors[1].shape[1] for layer in layers)
        b = np.stack([padded(layer.factors[0], 2, rank) for layer in layers], 1)
        a = np.stack([padded(layer.factors[1], 1, rank) for layer in layers], 1)
        found += [torch.as_tensor(b, device=device()), torch.as_tensor(a, device=device())]
    return tuple(found)
