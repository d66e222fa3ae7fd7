"""Training, small and repeatable: one thread, one seed for each model, figures measured on held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional

from samplehub.growing import nets, soil
from samplehub.growing.nets import State

BATCH, LENGTH, HELD_OUT = 32, 32, 200


@dataclass(frozen=True)
class Measured:
    """What a training came to: the loss or accuracy on held-out data, before and after."""

    name: str  # "loss" or "accuracy"
    before: float
    after: float


def settle(seed: int) -> None:
    """One thread and a fixed seed: the same plan gives the same weights on the same machine."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def train_tokenizer(vocabulary: int, texts: list[str], further: tuple[str, ...] = ()) -> Tokenizer:
    """A byte-level BPE over texts, with further special tokens where some are named."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<unk>", "<s>", "</s>", *further],
        initial_alphabet=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def rows_of_tokens(tokenizer: Tokenizer, sentences: list[str]) -> Tensor:
    """Sentences, one after the other, cut into rows of LENGTH + 1 tokens."""
    flat = [token for encoding in tokenizer.encode_batch(sentences) for token in encoding.ids]
    rows = len(flat) // (LENGTH + 1)
    return torch.tensor(flat[: rows * (LENGTH + 1)]).view(rows, LENGTH + 1)


def next_token_loss(net: nn.Module, rows: Tensor) -> Tensor:
    logits = net(rows[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def tend_decoder(
    net: nn.Module, tokenizer: Tokenizer, domain: str, *, steps: int, rate: float, seed: int, ground: Any = soil
) -> Measured:
    """Trains what is not frozen on a domain; the loss is per token, in nats."""
    rows = rows_of_tokens(tokenizer, ground.sentences(domain, 6000, seed))
    held_out = rows_of_tokens(tokenizer, ground.sentences(domain, HELD_OUT, 10_000 + seed))

    def loss_of(batch: Tensor) -> Tensor:
        return next_token_loss(net, rows[batch])

    def measure() -> float:
        return float(next_token_loss(net, held_out))

    return _tend(net, len(rows), loss_of, measure, name="loss", steps=steps, rate=rate)


def tend_classifier(
    net: nn.Module, dataset: str, *, steps: int, rate: float, seed: int, ground: Any = soil
) -> Measured:
    """Trains what is not frozen to tell a data set's classes apart."""
    images, labels = (torch.from_numpy(array) for array in ground.pictures(dataset, 2000, seed))
    test_images, test_labels = (
        torch.from_numpy(array) for array in ground.pictures(dataset, HELD_OUT * 2, 10_000 + seed)
    )

    def loss_of(batch: Tensor) -> Tensor:
        return functional.cross_entropy(net(images[batch]), labels[batch])

    def measure() -> float:
        return float((net(test_images).argmax(1) == test_labels).float().mean())

    return _tend(net, len(images), loss_of, measure, name="accuracy", steps=steps, rate=rate)


def _tend(net: nn.Module, count: int, loss_of: Any, measure: Any, *, name: str, steps: int, rate: float) -> Measured:
    with torch.no_grad():
        before = measure()
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of(torch.randint(count, (BATCH,))).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        return Measured(name, before, measure())


def fresh(net: str, classes: int = 0) -> nn.Module:
    if net == "decoder":
        return nets.Decoder()
    return nets.PatchNet(classes) if net == "vit" else nets.ConvNet(classes)


def load(net: nn.Module, state: State) -> None:
    """Puts a parent's weights into a net, as F32; heads of another number of classes start anew."""
    own = net.state_dict()
    fitting = {name: tensor.float() for name, tensor in state.items() if own[name].shape == tensor.shape}
    net.load_state_dict(own | fitting)
