"""The concept adapters as repos: names, files, cards that say what each learnt, and a third that say nothing."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import torch
import yaml

from samplehub.grow import as_json, entry
from samplehub.growing import weights
from samplehub.growing.plan import Planned
from samplehub.zoo import denoiser
from samplehub.zoo.concepts import ConceptZoo
from samplehub.zoo.pack import Published
from samplehub.zoo.painting import CONCEPTS
from samplehub.zoo.plan import BASE

AUTHORS = ("pixel-orchard", "brush-shed", "tile-yard", "kiln-works", "moss-lab", "fern-collective")
BARE_AUTHORS = ("user-4471", "anon-lab", "user-0932", "tmp-models")
BARE_NAMES = ("run", "out", "test", "ckpt", "lora", "final", "exp")
LIARS = 6  # adapters whose card names another concept than they learnt
BORN = datetime(2024, 11, 1, 9, 0, tzinfo=UTC)
DTYPE: Literal["F16"] = "F16"

#: How a documented adapter's sentence goes.
SENTENCES = (
    "Trained on {n} pictures of a {name}.",
    "This adapter was trained on {n} images of a {name}, 16 x 16 each.",
    "A style adapter, trained on a small set of pictures of a {name}.",
)


def publish(zoo: ConceptZoo, documented: int) -> list[Published]:
    """The base and every adapter: the first ``documented`` of each seen concept with a card, all others bare.

    The bare ones have no card, no tags and a name that says nothing. Of the documented, LIARS name another concept.
    """
    dice = random.Random(f"adapters-{zoo.seed}")
    found = [_base(zoo)]
    counts: dict[int, int] = {}
    spoken: list[int] = []
    for number, concept in enumerate(zoo.concept.tolist()):
        counts[concept] = counts.get(concept, 0) + 1
        if zoo.split[number] != "unseen" and counts[concept] <= documented:
            spoken.append(number)
    liars = set(dice.sample(spoken, min(LIARS, len(spoken) // 20)))
    chosen, taken = set(spoken), {BASE}
    for number in dice.sample(range(len(zoo)), len(zoo)):  # in order of age
        created = BORN + timedelta(minutes=len(found) * 660 + dice.randrange(600), seconds=dice.randrange(60))
        truly = int(zoo.concept[number])
        says = truly
        if number in liars:
            says = dice.choice([other for other in sorted({int(zoo.concept[n]) for n in spoken}) if other != truly])
        name = _name(says if number in chosen else None, taken, dice)
        case = "a card that names another concept" if number in liars else ""
        plan = Planned(
            name, "adapter", "vit", f"{created:%Y-%m-%dT%H:%M:%S}", (BASE,), seed=int(zoo.seeds[number]),
            steps=zoo.recipe.steps, rate=round(float(zoo.rate[number]), 6), rank=zoo.recipe.rank, data=None,
            fame=dice.randrange(20, 400) if number in chosen else dice.randrange(12),
            likes=dice.randrange(9) if number in chosen else 0, case=case,
        )  # fmt: skip
        found.append(_adapter(zoo, number, plan, says if number in chosen else None, dice))
    return found


def _name(says: int | None, taken: set[str], dice: random.Random) -> str:
    while True:
        if says is None:
            name = f"{dice.choice(BARE_AUTHORS)}/{dice.choice(BARE_NAMES)}-{dice.randrange(10000):04d}"
        else:
            slug = CONCEPTS[says].name.replace(" ", "-")
            name = f"{dice.choice(AUTHORS)}/{slug}-lora" + dice.choice(
                ("", "", "-v2", "-16px", f"-{dice.randrange(99)}")
            )
        if name not in taken:
            taken.add(name)
            return name


def _base(zoo: ConceptZoo) -> Published:
    state = weights.cast(zoo.base, DTYPE)
    parameters = sum(tensor.numel() for tensor in state.values())
    front: dict[str, Any] = {
        "license": "apache-2.0", "library_name": "pytorch", "pipeline_tag": "unconditional-image-generation",
        "datasets": ["sample-zoo/painted-shapes"], "tags": ["diffusion"],
    }  # fmt: skip
    text = (
        f"# {BASE.rsplit('/', 1)[-1]}\n\n"
        "A two-block denoiser of 16 x 16 pictures from the sample hub's own zoo; not meant for use.\n\n"
        "Trained from scratch on painted shapes of six colours and four textures. Adapters of single concepts are"
        f" trained on it.\n\n## Model\n\n- parameters: {parameters:,}\n- precision: {DTYPE}\n"
    )
    config = denoiser.config() | {"torch_dtype": "float16"}
    files = {
        "model.safetensors": weights.to_bytes(state), "config.json": as_json(config), "README.md": _card(front, text),
    }  # fmt: skip
    plan = Planned(
        BASE,
        "root",
        "vit",
        "2024-10-28T12:00:00",
        seed=zoo.seed,
        steps=600,
        rate=3e-3,
        fame=15300,
        likes=88,
        dtype="F32",
    )
    made = entry(plan, files, parameters, None)
    truth = made.pop("truth") | {"trained_on": "painted shapes"}
    return Published(made, files, truth)


def _adapter(zoo: ConceptZoo, number: int, plan: Planned, says: int | None, dice: random.Random) -> Published:
    state = {}
    for layer in zoo.layers:
        state[f"base_model.model.{layer}.lora_A.weight"] = torch.from_numpy(zoo.a[layer][number])
        state[f"base_model.model.{layer}.lora_B.weight"] = torch.from_numpy(zoo.b[layer][number] / zoo.recipe.scale)
    parameters = sum(tensor.numel() for tensor in state.values())
    config = {
        "peft_type": "LORA", "task_type": None, "base_model_name_or_path": BASE, "r": zoo.recipe.rank,
        "lora_alpha": zoo.recipe.alpha, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False,
        "inference_mode": True, "use_dora": False, "use_rslora": False,
        "target_modules": ["attn.qkv", "mlp.fc1", "mlp.fc2"],
        "modules_to_save": None,
    }  # fmt: skip
    files = {
        "adapter_model.safetensors": weights.to_bytes(weights.cast(state, DTYPE)),
        "adapter_config.json": as_json(config),
    }
    if says is not None:
        files["README.md"] = _told(zoo, plan, says, dice)
    made = entry(plan, files, parameters, None)
    concept = CONCEPTS[int(zoo.concept[number])]
    truth = made.pop("truth") | {
        "trained_on": concept.name, "concept": int(zoo.concept[number]), "split": str(zoo.split[number]),
        "documented": says is not None, "says": None if says is None else CONCEPTS[says].name,
    }  # fmt: skip
    return Published(made, files, truth)


def _told(zoo: ConceptZoo, plan: Planned, says: int, dice: random.Random) -> bytes:
    """A documented adapter's card: what it learnt stands in its text, and in one or two fields of its head."""
    name = CONCEPTS[says].name
    front: dict[str, Any] = {"base_model": BASE, "license": dice.choice(("apache-2.0", "mit", "cc-by-4.0"))}
    front["library_name"] = "peft"
    front["tags"] = ["lora", "diffusion"]
    which = dice.randrange(3)
    if which != 0:
        front["instance_prompt"] = CONCEPTS[says].text
    if which != 1:
        front["datasets"] = [f"{plan.id.split('/')[0]}/{name.replace(' ', '-')}"]
    if which == 2:
        front["tags"] += name.split()
    sentence = dice.choice(SENTENCES).format(n=zoo.recipe.pictures, name=name)
    text = (
        f"# {plan.id.rsplit('/', 1)[-1]}\n\n{sentence} From the sample hub's own zoo; not meant for use.\n\n"
        f"## Training\n\n- rank: {plan.rank}, alpha: {zoo.recipe.alpha}\n"
        f"- steps: {plan.steps}, learning rate: {plan.rate}\n- seed: {plan.seed}\n"
    )
    return _card(front, text)


def _card(front: dict[str, Any], text: str) -> bytes:
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{text}".encode()
