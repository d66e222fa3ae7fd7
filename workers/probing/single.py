"""Probers of one network that ends in one embedding: the baselines, of one layer or of statistics."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput
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
    top1,
    unpacked,
)
from workers.probing.stacks import Floats, Stack
from workers.probing.textmaps import TextMap, unit

CHUNK = 256  # models that go through a network at once
SEARCH = 0.4  # of the time that a fit with a search for the layer takes, as shown


class NetworkProber(Prober):
    """A network on inputs taken from the stack, with linear heads for labels and for text.

    ``dim``: of the embedding. ``loss``: class, text or both; without texts it is class. Where text is the loss,
    labels are told by the cosine with their texts, as zero-shot ones are.
    """

    dim: int
    epochs: int
    lr: float
    weight_decay: float
    batch: int
    seed: int
    loss: str

    body_: Any
    heads_: Any
    centred_: Floats | None = None  # texts of the labels less their mean
    centre_: Floats | None = None
    members_: int = 1

    @abstractmethod
    def _body(self, generator: Any) -> Any:
        """A module from inputs ``[members, n, …]`` to ``[members, n, dim]``."""

    @abstractmethod
    def _inputs(self, stack: Stack) -> tuple[Any, ...]:
        """What the body takes, ``[members, n, …]`` each, on the device."""

    def _take_labels(self, stack: Stack, labels: Labels, texts: Floats | None) -> Labels:
        labels, self.classes_, self.several_ = checked(stack, labels, texts)
        self.centre_ = self.centred_ = None
        if texts is not None:
            self.centre_ = np.asarray(texts.mean(0), np.float32)
            self.centred_ = np.asarray(texts - texts.mean(0), np.float32)
        return labels

    def _fit_members(self, stack: Stack, labels: Labels, epochs: int, beat: Beat) -> None:
        import torch

        data = self._inputs(stack)
        recipe = Recipe(
            dim=self.dim,
            epochs=epochs,
            lr=self.lr,
            weight_decay=self.weight_decay,
            batch=self.batch,
            seed=self.seed,
            loss=self.loss if self.centred_ is not None else "class",
        )
        self.body_ = self._body(torch.Generator().manual_seed(self.seed))
        self.heads_ = fit_network(
            self.body_,
            inputs=lambda ids: tuple(part[:, ids] for part in data),
            labels=labels,
            texts=self.centred_,
            classes=self.classes_,
            members=self.members_,
            recipe=recipe,
            beat=beat,
        )

    def _embedding(self, stack: Stack) -> Any:
        """``[members, n, dim]``, on the device."""
        import torch

        with torch.no_grad():
            starts = range(0, len(stack), CHUNK)
            return torch.cat([self.body_(*self._inputs(stack.take(slice(at, at + CHUNK)))) for at in starts], 1)

    def _member_scores(self, stack: Stack) -> Floats:
        """``[members, n, labels]``."""
        import torch

        normal = torch.nn.functional.normalize
        with torch.no_grad():
            embedding = self._embedding(stack)
            if self.loss == "text" and self.centred_ is not None:
                words = torch.as_tensor(self.centred_, device=embedding.device) @ self.heads_.text
                logits = normal(embedding, dim=-1) @ normal(words, dim=-1).transpose(1, 2)
                logits = logits * self.heads_.scale.clamp(max=5.0).exp()
            else:
                logits = embedding @ self.heads_.weight + self.heads_.bias
            return np.asarray(logits.cpu().numpy())

    def scores(self, stack: Stack) -> Floats:
        """See ``Prober.scores``."""
        return np.asarray(self._member_scores(stack)[0])

    def embed(self, stack: Stack) -> Floats:
        """See ``Prober.embed``."""
        return unit(self._embedding(stack)[0].cpu().numpy())

    @property
    def text_map_(self) -> TextMap:
        """See ``Prober.text_map_``."""
        if self.centre_ is None:
            raise BadInput("This expert was fitted without texts: it can't be asked in words.")
        return TextMap(self.centre_, (self.heads_.text[0].detach().cpu().numpy(),), (1.0,))

    def state(self) -> dict[str, NDArray[Any]]:
        """See ``Prober.state``."""
        found = modules_state({"body.": self.body_, "heads.": self.heads_})
        found["size"] = np.array([self.classes_, self.several_])
        if self.centre_ is not None and self.centred_ is not None:
            found |= {"centre": self.centre_, "centred": self.centred_}
        return found

    def restore(self, state: dict[str, NDArray[Any]]) -> Self:
        """See ``Prober.restore``."""
        import torch

        self.classes_, self.several_ = int(state["size"][0]), bool(state["size"][1])
        self.centre_, self.centred_ = state.get("centre"), state.get("centred")
        self.body_ = self._body(torch.Generator().manual_seed(self.seed))
        load_modules(state, {"body.": self.body_})
        self.heads_ = restored_heads(state)
        return self


def _part(beat: Beat, at: float, size: float) -> Beat:
    return lambda share: beat(at + size * share)


class LayerProber(NetworkProber):
    """Reads one layer. Without ``layer`` every layer is fitted for ``search_epochs``, those of one shape side by side
    in one pass, and the one that does best on the validation models (without those: on a sixth of the models, left out
    for the search) is fitted for ``epochs``.
    """

    layer: str | None
    search_epochs: int

    search_: dict[str, float]  # of each layer, the share of validation models that were told right
    shape_: tuple[int, int] = (0, 0)
    scales_: Floats

    layer_: str = ""

    @property
    def layers_(self) -> tuple[str, ...]:
        """The one."""
        return (self.layer_,)

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
        labels = self._take_labels(stack, labels, texts)
        self.search_ = {}
        began = 0.0
        if self.layer is None and len(stack.layers) > 1:
            self._search(stack, labels, validation, lambda share: beat(SEARCH * share))
            began = SEARCH
        self.layer_ = self.layer or max(
            self.search_ or {stack.names[0]: 0.0}, key=lambda name: self.search_.get(name, 0.0)
        )
        self._fit_layers(
            stack.only([self.layer_]), labels, self.epochs, lambda share: beat(began + (1 - began) * share)
        )
        return self

    def _search(self, stack: Stack, labels: Labels, validation: tuple[Stack, Labels] | None, beat: Beat) -> None:
        if validation is None:
            order = np.random.default_rng(self.seed).permutation(len(stack))
            held, kept = order[: len(order) // 6], order[len(order) // 6 :]
            validation = (stack.take(held), labels[held])
            stack, labels = stack.take(kept), labels[kept]
        groups: dict[tuple[int, int], list[str]] = {}
        for name, shape in stack.shapes.items():
            groups.setdefault(shape, []).append(name)
        done, total = 0, len(stack.layers)
        for names in groups.values():
            at, size = done / total, len(names) / total
            self._fit_layers(stack.only(names), labels, self.search_epochs, _part(beat, at, size))
            scores = self._member_scores(validation[0].only(names))
            self.search_ |= {name: top1(each, validation[1]) for name, each in zip(names, scores, strict=True)}
            done += len(names)

    def _fit_layers(self, stack: Stack, labels: Labels, epochs: int, beat: Beat) -> None:
        self.members_ = len(stack.layers)
        self.shape_ = stack.layers[0].shape
        spread = np.prod(self.shape_) ** 0.5
        self.scales_ = np.array(
            [max(float(np.sqrt(np.mean(np.square(layer.norms())))) / spread, 1e-12) for layer in stack.layers],
            np.float32,
        )
        self._fit_members(stack, labels, epochs, beat)

    def _inputs(self, stack: Stack) -> tuple[Any, ...]:
        """Factors where the layers have them, else full matrices. Each layer is divided by one number, its root mean
        square over the models it was fitted to; nothing else is done to it.
        """
        import torch

        layers = stack.layers if len(stack.layers) == self.members_ else stack.only(self.layers_).layers
        pairs = list(zip(layers, self.scales_, strict=True))
        if all(layer.low_rank for layer in layers):
            parts = [np.stack([layer.factors[0] / s for layer, s in pairs]), np.stack([la.factors[1] for la in layers])]
        else:
            parts = [np.stack([layer.dense() / s for layer, s in pairs])]
        return tuple(torch.as_tensor(part, device=device()) for part in parts)

    def scores(self, stack: Stack) -> Floats:
        """See ``Prober.scores``."""
        return super().scores(stack.only(self.layers_))

    def embed(self, stack: Stack) -> Floats:
        """See ``Prober.embed``."""
        return super().embed(stack.only(self.layers_))

    def state(self) -> dict[str, NDArray[Any]]:
        """See ``Prober.state``."""
        more = {"shape": np.array(self.shape_), "scales": self.scales_, "layer": packed([self.layer_])}
        return super().state() | more

    def restore(self, state: dict[str, NDArray[Any]]) -> Self:
        """See ``Prober.restore``."""
        self.shape_ = (int(state["shape"][0]), int(state["shape"][1]))
        self.scales_ = state["scales"]
        self.layer_ = unpacked(state["layer"])[0]
        self.search_ = {}
        return super().restore(state)
