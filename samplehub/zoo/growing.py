"""Grows the zoo's classifiers and decoders by its plan, with the tools that the collection is grown with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer

from samplehub.grow import Garden, as_json, entry
from samplehub.growing import nets, tending
from samplehub.growing.nets import State
from samplehub.growing.plan import Planned
from samplehub.growing.tending import Measured
from samplehub.zoo import ground
from samplehub.zoo.pack import Published
from samplehub.zoo.plan import PLAN, things

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|> {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
ROLES = ("<|user|>", "<|assistant|>")


class ZooGarden(Garden):
    """A garden on the zoo's ground that keeps what it grows instead of writing it; ``seed`` moves all seeds."""

    def __init__(self, out: Path, seed: int) -> None:
        super().__init__(out, ground)
        self.seed = seed
        self.published: list[Published] = []
        self.talkers: set[str] = set()  # decoders with a chat template: their own or their parent's

    def tokenizer_of(self, plan: Planned) -> Tokenizer:
        """A root's own tokenizer; a child's is its first parent's, with the tokens that it adds."""
        if plan.id in self.tokenizers:
            return self.tokenizers[plan.id]
        if plan.parents:
            tokenizer = self.tokenizers[plan.parents[0]]
            if plan.adds:
                tokenizer = Tokenizer.from_str(tokenizer.to_str())
                tokenizer.add_special_tokens([AddedToken(token, special=True) for token in plan.adds])
        else:
            tending.settle(plan.seed)
            texts = ground.sentences("everything", 4000, plan.seed)
            tokenizer = tending.train_tokenizer(nets.DecoderShape().vocab, texts, ROLES)
        self.tokenizers[plan.id] = tokenizer
        return tokenizer

    def _start(self, plan: Planned) -> torch.nn.Module:
        if not plan.adds:
            return super()._start(plan)
        state: State = dict(self.states[plan.parents[0]])
        rows = state["model.embed_tokens.weight"].float()
        mean = rows.mean(0, keepdim=True).expand(len(plan.adds), -1)  # new tokens begin as the mean of all
        state["model.embed_tokens.weight"] = torch.cat((rows, mean))
        net = nets.Decoder(nets.DecoderShape(vocab=len(rows) + len(plan.adds)))
        tending.load(net, state)
        return net

    def _config(self, plan: Planned) -> dict[str, Any]:
        config = super()._config(plan)
        if plan.net == "decoder":
            config["vocab_size"] += len(plan.adds)
        return config

    def tokenizer_files(self, plan: Planned) -> dict[str, bytes]:
        special = dict(SPECIAL)
        if "chat" in str(plan.data) or (plan.parents and plan.parents[0] in self.talkers):
            self.talkers.add(plan.id)
        template = {"chat_template": CHAT_TEMPLATE} if plan.id in self.talkers else {}
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **special, **template, "model_max_length": 64}
        if plan.adds:
            special["additional_special_tokens"] = [*ROLES, *plan.adds]  # type: ignore[assignment]
        tokenizer = self.tokenizer_of(plan).to_str(pretty=False) + "\n"
        return {
            "tokenizer.json": tokenizer.encode(), "tokenizer_config.json": as_json(config),
            "special_tokens_map.json": as_json(special),
            "generation_config.json": as_json({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}),
        }  # fmt: skip

    def _publish(self, plan: Planned, files: dict[str, bytes], parameters: int, measured: Measured | None) -> None:
        made = entry(plan, files, parameters, measured)
        on = things(plan.data) if plan.data and plan.net == "vit" else plan.data
        truth = made.pop("truth") | {"trained_on": on, "documented": plan.card}
        self.published.append(Published(made, files, truth))


def grow_plan(
    seed: int, out: Path, *, only: tuple[Planned, ...] = PLAN, tell: Callable[[int, int], None] | None = None
) -> list[Published]:
    """The plan's models in the plan's order; ``out`` is a folder for what must pass through a file."""
    garden = ZooGarden(out, seed)
    for number, plan in enumerate(only, 1):
        garden.grow(moved(plan, seed))
        if tell:
            tell(number, len(only))
    return garden.published


def moved(plan: Planned, seed: int) -> Planned:
    """The same model from another seed of the zoo."""
    return replace(plan, seed=plan.seed + 1000 * seed)
