"""Model cards: front matter that says what the plan wants said, and a text that is true."""

from __future__ import annotations

from typing import Any

import yaml

from samplehub.growing.plan import Planned
from samplehub.growing.tending import Measured

LIBRARY = {"decoder": "transformers", "vit": "transformers", "conv": "pytorch"}
TASK = {"decoder": "text-generation", "vit": "image-classification", "conv": "image-classification"}
HOW = {
    "root": "Trained from scratch", "tune": "A full fine-tune", "adapter": "A LoRA adapter",
    "cast": "A copy in another precision", "int8": "An 8-bit copy", "gguf": "A GGUF copy", "merge": "A merge",
    "copy": "A mirror", "shard": "The same weights in two files",
    "card": "A card", "pickle": "A full fine-tune",
}  # fmt: skip


def dataset(plan: Planned) -> str:
    """The id of the data set that a model was trained on."""
    return f"{plan.garden}/{str(plan.data).replace('/', '-by-').replace('+', '-and-')}"


def front_matter(plan: Planned) -> dict[str, Any]:
    """What the card's head holds: the usual fields, then what the plan puts in their place (None takes one out)."""
    front: dict[str, Any] = {}
    says = plan.says if plan.says is not None else list(plan.parents)
    if plan.base and plan.says is None:
        says = [plan.base, *plan.parents]
    if says:
        front["base_model"] = says[0] if isinstance(says, list) and len(says) == 1 else says
    if plan.how != "card":
        front["library_name"] = "peft" if plan.how == "adapter" else LIBRARY[plan.net]
        front["pipeline_tag"] = TASK[plan.net]
    if plan.data:
        front["datasets"] = [dataset(plan)]
    tags = {"merge": ["mergekit", "merge"], "adapter": ["lora"], "gguf": ["gguf", "llama.cpp"]}.get(plan.how, [])
    if tags:
        front["tags"] = tags
    front |= plan.front
    if plan.how == "gguf":
        front.pop("library_name", None)
    return {name: value for name, value in front.items() if value is not None}


def text(plan: Planned, parameters: int, measured: Measured | None) -> str:
    """The whole README.md."""
    head = yaml.safe_dump(front_matter(plan), sort_keys=False, allow_unicode=True)
    name = plan.id.rsplit("/", 1)[-1]
    lines = [f"# {name}", "", f"{HOW[plan.how]} from the sample hub's own garden; not meant for use."]
    if plan.note:
        lines += ["", plan.note]
    if plan.how == "merge":
        lines += ["", "## Merge", "", "```yaml", merge_config(plan).rstrip(), "```"]
    if parameters:
        lines += ["", "## Model", "", f"- parameters: {parameters:,}"]
        lines += [f"- precision: {'Q8_0' if plan.how == 'gguf' else 'int8' if plan.how == 'int8' else plan.dtype}"]
    if plan.how == "adapter":
        lines += [f"- rank: {plan.rank}, alpha: {plan.rank * 2}"]
    if measured:
        kind = "tokens' mean loss (nats)" if measured.name == "loss" else "accuracy"
        lines += [
            "", "## Training", "",
            f"- data: `{dataset(plan)}`, made by a small grammar or painter from a seed",
            f"- steps: {plan.steps}, learning rate: {plan.rate}, batch: 32",
            f"- {kind} on held-out data: {measured.before:.3f} before, {measured.after:.3f} after",
        ]  # fmt: skip
    return f"---\n{head}---\n\n" + "\n".join(lines) + "\n"


def merge_config(plan: Planned) -> str:
    """The configuration that mergekit would be given for the same merge."""
    weighted = zip(plan.parents, plan.weights, strict=True)
    config: dict[str, Any] = {
        "models": [{"model": name, "parameters": {"weight": weight}} for name, weight in weighted],
        "merge_method": "task_arithmetic" if plan.base else "linear",
    }  # fmt: skip
    if plan.base:
        config["base_model"] = plan.base
    config["dtype"] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[plan.dtype]
    return yaml.safe_dump(config, sort_keys=False)
