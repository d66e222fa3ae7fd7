"""What all methods share: their interface, and fitting a network with the heads for labels and for text.

A method is fitted to a stack of models and their labels and then answers for others of the same tree::

    probe = ProbeX(layer="blocks.0.attn").fit(stack, labels, texts=texts)
    probe.predict(others)              # [n] indices of labels; [n, labels] of 0/1 where models have several
    probe.predict_proba(others)        # float32 [n, labels]
    probe.embed(others)                # float32 [n, d], unit rows, comparable by dot product with ...
    probe.text_map_(text_embeddings)   # float32 [m, d], unit rows

Parameters of the constructor stay as they were given; what is learned ends in ``_``. torch is imported on first use.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput
from workers.probing.calibration import sigmoid, softmax
from workers.probing.stacks import Floats, Stack
from workers.probing.textmaps import TextMap

Beat = Callable[[float], object]
"""Called often while fitting, with the share that is done; it may raise to stop."""

Labels = NDArray[np.generic]
"""Class indices ``[n]``, or 0/1 ``[n, labels]`` where a model may have several."""


def quiet(share: float) -> None:
    """Nobody is listening."""


class Prober(ABC):
    """One way of telling from weights what a model was trained on."""

    method: ClassVar[str]
    reference: ClassVar[str]

    several_: bool = False
    classes_: int = 0

    def get_params(self) -> dict[str, Any]:
        """The constructor's parameters."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @abstractmethod
    def fit(
        self,
        stack: Stack,
        labels: Labels,
        *,
        texts: Floats | None = None,
        validation: tuple[Stack, Labels] | None = None,
        beat: Beat = quiet,
    ) -> Self:
        """Learn from n models. ``texts`` ``[labels, d]`` are embeddings of what each label says; without them there
        is no common space with text. ``validation`` are models that choices (the layer, weights of parts) are made
        on. Raises BadInput.
        """

    @abstractmethod
    def scores(self, stack: Stack) -> Floats:
        """Logits ``[n, labels]``, not calibrated."""

    @abstractmethod
    def embed(self, stack: Stack) -> Floats:
        """``[n, d]``, unit rows."""

    @property
    @abstractmethod
    def text_map_(self) -> TextMap:
        """From texts into the space of ``embed``. Raises BadInput where it was fitted without texts."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[Any]]:
        """All that was learned, as arrays by name."""

    @abstractmethod
    def restore(self, state: dict[str, NDArray[Any]]) -> Self:
        """Take over what ``state`` gave."""

    @property
    @abstractmethod
    def layers_(self) -> tuple[str, ...]:
        """The layers that it reads."""

    def predict_proba(self, stack: Stack) -> Floats:
        """``[n, labels]``: summing to one where models have one label each."""
        logits = self.scores(stack)
        return np.asarray(sigmoid(logits) if self.several_ else softmax(logits), np.float32)

    def predict(self, stack: Stack) -> Labels:
        """The likeliest label ``[n]``; or 0/1 ``[n, labels]``."""
        logits = self.scores(stack)
        return (logits > 0).astype(np.int64) if self.several_ else np.asarray(logits.argmax(1))


def checked(stack: Stack, labels: Labels, texts: Floats | None) -> tuple[Labels, int, bool]:
    """The labels as int64 ``[n]`` or float32 ``[n, labels]``, how many there are, and whether models have several.

    Raises BadInput.
    """
    labels = np.asarray(labels)
    several = labels.ndim == 2
    if len(labels) != len(stack) or not len(labels):
        raise BadInput(f"{len(stack)} models and {len(labels)} labels: each model needs one.")
    count = labels.shape[1] if several else max(int(labels.max()) + 1, len(texts) if texts is not None else 0)
    if count < 2:
        raise BadInput("All models have the same label: there is nothing to tell apart.")
    if texts is not None and len(texts) != count:
        raise BadInput(f"{count} labels and texts for {len(texts)}: each label needs one.")
    return labels.astype(np.float32 if several else np.int64), count, several


def top1(logits: Floats, labels: Labels) -> float:
    """Share of models whose likeliest label is theirs (one of theirs, where they have several)."""
    first = logits.argmax(1)
    if labels.ndim == 2:
        return float(np.mean(labels[np.arange(len(labels)), first] > 0))
    return float(np.mean(first == labels))


# --- fitting a network ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Recipe:
    """How a network is fitted. ``loss``: class, text (cross-entropy over cosines with the labels' texts), or both."""

    dim: int
    epochs: int
    lr: float
    weight_decay: float
    batch: int
    seed: int
    loss: str
    one_cycle: bool = False
    temperature: float = 0.05


def device() -> Any:
    """CUDA where there is one."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def heads(*, members: int, dim: int, classes: int, text_dim: int, temperature: float, generator: Any) -> Any:
    """The linear heads on an embedding ``[members, n, dim]``: for labels, and for text where ``text_dim`` > 0."""
    import torch

    def normal(*shape: int, fan: int) -> Any:
        return torch.nn.Parameter(torch.randn(*shape, generator=generator) * fan**-0.5)

    module = torch.nn.Module()
    module.weight = normal(members, dim, classes, fan=dim)
    module.bias = torch.nn.Parameter(torch.zeros(members, 1, classes))
    if text_dim:
        module.text = normal(members, text_dim, dim, fan=text_dim)
        module.scale = torch.nn.Parameter(torch.full((members, 1, 1), float(np.log(1 / temperature))))
    return module


def fit_network(
    body: Any,
    *,
    inputs: Callable[[Any], tuple[Any, ...]],
    labels: Labels,
    texts: Floats | None,
    classes: int,
    members: int,
    recipe: Recipe,
    beat: Beat,
) -> Any:
    """Fit ``body`` (a module from a batch to ``[members, n, dim]``) and heads on it; returns the heads.

    ``inputs(ids)`` gives the batch for these models, on the device. ``texts`` are centred. The losses of all members
    are summed: they share nothing, so each is fitted as if it were alone.
    """
    import torch

    functional = torch.nn.functional
    where = device()
    generator = torch.Generator().manual_seed(recipe.seed)
    head = heads(
        members=members,
        dim=recipe.dim,
        classes=classes,
        text_dim=0 if texts is None else texts.shape[1],
        temperature=recipe.temperature,
        generator=generator,
    )
    body.to(where)
    head.to(where)
    parameters = [*body.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, recipe.lr, weight_decay=recipe.weight_decay, foreach=True)
    count = len(labels)
    rounds = -(-count // recipe.batch)
    schedule = (
        torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, recipe.epochs * rounds) if recipe.one_cycle else None
    )
    truth = torch.as_tensor(labels, device=where)
    words = torch.as_tensor(texts, device=where) if texts is not None else None
    several = labels.ndim == 2

    def text_loss(embedding: Any, target: Any) -> Any:
        mapped = functional.normalize(words @ head.text, dim=-1)
        cosines = functional.normalize(embedding, dim=-1) @ mapped.transpose(1, 2) * head.scale.clamp(max=5.0).exp()
        if several:
            target = target / target.sum(1, keepdim=True).clamp_min(1.0)
            return -(target * cosines.log_softmax(-1)).sum(-1).mean(1).sum()
        return functional.cross_entropy(cosines.flatten(0, 1), target.repeat(members)) * members

    def class_loss(embedding: Any, target: Any) -> Any:
        logits = embedding @ head.weight + head.bias
        if several:
            many = target.expand(members, *target.shape)
            return functional.binary_cross_entropy_with_logits(logits, many) * members
        return functional.cross_entropy(logits.flatten(0, 1), target.repeat(members)) * members

    body.train()
    for epoch in range(recipe.epochs):
        order = torch.randperm(count, generator=generator)
        for start in range(0, count, recipe.batch):
            ids = order[start : start + recipe.batch]
            embedding = body(*inputs(ids))
            target = truth[ids.to(where)]
            loss = torch.zeros((), device=where)
            if recipe.loss != "text" or words is None:
                loss = loss + class_loss(embedding, target)
            if recipe.loss != "class" and words is not None:
                loss = loss + text_loss(embedding, target)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            if schedule is not None:
                schedule.step()
            beat((epoch * rounds + start // recipe.batch + 1) / (recipe.epochs * rounds))
    body.eval()
    return head


# --- keeping --------------------------------------------------------------------------------------------------------
def packed(names: Iterable[str]) -> NDArray[np.uint8]:
    """Names as an array of bytes."""
    return np.frombuffer("\n".join(names).encode(), np.uint8)


def unpacked(array: NDArray[Any]) -> tuple[str, ...]:
    """The names again."""
    return tuple(array.tobytes().decode().split("\n"))


def modules_state(modules: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of each module, their names after its prefix: what ``load_modules`` takes."""
    parts = {
        f"{prefix}{name}": value for prefix, module in modules.items() for name, value in module.state_dict().items()
    }
    return {name: value.cpu().numpy() for name, value in parts.items()}


def restored_heads(state: dict[str, NDArray[Any]], prefix: str = "heads.") -> Any:
    """The heads that were kept under ``prefix``; the arrays tell all their sizes."""
    import torch

    members, dim, classes = state[f"{prefix}weight"].shape
    text = state.get(f"{prefix}text")
    module = heads(
        members=members,
        dim=dim,
        classes=classes,
        text_dim=0 if text is None else text.shape[1],
        temperature=1.0,
        generator=torch.Generator(),
    )
    load_modules(state, {prefix: module})
    return module


def load_modules(state: dict[str, NDArray[Any]], modules: dict[str, Any]) -> None:
    """Give each module the arrays whose names begin with its prefix."""
    import torch

    for prefix, module in modules.items():
        module.load_state_dict({k[len(prefix) :]: torch.tensor(v) for k, v in state.items() if k.startswith(prefix)})
        module.to(device()).eval()
