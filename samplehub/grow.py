"""``python -m samplehub.grow``: grows the hub's own collection anew, from its plan and its seeds.

Needs torch, tokenizers and gguf. The result is kept in the repository and committed once: weights differ in their
last bits between machines, so a fresh growth is for looking at (``--out``), not for committing over the old.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from samplehub.collection import FOLDER, folder_name
from samplehub.growing import cards, nets, soil, tending, weights
from samplehub.growing.nets import State
from samplehub.growing.plan import COLLECTION, Planned
from samplehub.growing.tending import Measured

ADAPTED = {"decoder": ("q_proj", "v_proj"), "vit": ("query", "value")}


class Garden:
    """Grows planned models one after the other and writes each one's files.

    ``ground`` is where the data come from: a module with ``sentences``, ``pictures`` and ``PICTURES``, as soil has.
    """

    def __init__(self, out: Path, ground: Any = soil) -> None:
        self.out, self.ground = out, ground
        self.states: dict[str, State] = {}  # what was published, by id
        self.configs: dict[str, dict[str, Any]] = {}
        self.nets_of: dict[str, str] = {}
        self.tokenizers: dict[str, Tokenizer] = {}  # by id
        self.manifest: list[dict[str, Any]] = []

    def grow(self, plan: Planned) -> Measured | None:
        """Grows one model whose parents have been grown, and writes its folder."""
        if plan.net == "decoder":
            self.tokenizer_of(plan)
        tending.settle(plan.seed)
        files: dict[str, bytes] = {}
        measured: Measured | None = None
        state: State = {}
        if plan.how in ("root", "tune", "pickle"):
            state, measured = self._trained(plan)
        elif plan.how == "adapter":
            state, measured = self._adapter(plan, files)
        elif plan.how == "merge":
            base = self.states[plan.base] if plan.base else None
            state = weights.cast(weights.merged([self.states[p] for p in plan.parents], plan.weights, base), plan.dtype)
            self.configs[plan.id] = dict(self.configs[plan.parents[0]])
            files["mergekit_config.yml"] = cards.merge_config(plan).encode()
        elif plan.how != "card":
            state = self._derived(plan)
        self._write_weights(plan, state, files)
        parameters = sum(t.numel() for n, t in state.items() if not n.endswith((".SCB", ".weight_format")))
        if plan.card:
            files["README.md"] = cards.text(plan, parameters, measured).encode()
        self.states[plan.id] = state
        self._publish(plan, files, parameters, measured)
        return measured

    def tokenizer_of(self, plan: Planned) -> Tokenizer:
        """A decoder's tokenizer: one for all."""
        if not self.tokenizers:
            tending.settle(0)
            self.tokenizers[""] = tending.train_tokenizer(nets.DecoderShape().vocab, soil.sentences("mixed", 4000, 0))
        return self.tokenizers[""]

    # Kinds of growth -------------------------------------------------------------------------

    def _start(self, plan: Planned) -> torch.nn.Module:
        classes = len(self.ground.PICTURES[plan.data][0]) if plan.net != "decoder" and plan.data else 0
        net = tending.fresh(plan.net, classes)
        if plan.parents:
            tending.load(net, self.states[plan.parents[0]])
        return net

    def _tend(self, plan: Planned, net: torch.nn.Module) -> Measured:
        rate = plan.rate * 3 if plan.how == "root" else plan.rate
        how = {"steps": plan.steps, "rate": rate, "seed": plan.seed, "ground": self.ground}
        if plan.net == "decoder":
            return tending.tend_decoder(net, self.tokenizer_of(plan), str(plan.data), **how)  # type: ignore[arg-type]
        return tending.tend_classifier(net, str(plan.data), **how)  # type: ignore[arg-type]

    def _config(self, plan: Planned) -> dict[str, Any]:
        if plan.net == "decoder":
            config = nets.DecoderShape().config()
        else:
            labels = self.ground.PICTURES[str(plan.data)][0]
            config = nets.PatchNet.config(labels) if plan.net == "vit" else nets.ConvNet.config(labels)
        config["torch_dtype"] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[plan.dtype]
        return config

    def _trained(self, plan: Planned) -> tuple[State, Measured]:
        net = self._start(plan)
        measured = self._tend(plan, net)
        self.configs[plan.id] = self._config(plan)
        return weights.cast({name: tensor.detach() for name, tensor in net.state_dict().items()}, plan.dtype), measured

    def _adapter(self, plan: Planned, files: dict[str, bytes]) -> tuple[State, Measured]:
        net = self._start(plan)
        added = nets.add_adapters(net, ADAPTED[plan.net], plan.rank, plan.rank * 2)
        heads = ["classifier"] if plan.net == "vit" else []
        for name in heads:
            net.get_submodule(name).requires_grad_(True)
        measured = self._tend(plan, net)
        state = nets.adapter_state(added)
        for name in heads:
            for key, tensor in net.get_submodule(name).state_dict().items():
                state[f"base_model.model.{name}.{key}"] = tensor.detach().clone()
        config = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM" if plan.net == "decoder" else None,
            "base_model_name_or_path": plan.config_says or plan.parents[0], "r": plan.rank, "lora_alpha": plan.rank * 2,
            "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False, "inference_mode": True, "use_dora": False,
            "use_rslora": False, "target_modules": list(ADAPTED[plan.net]), "modules_to_save": heads or None,
        }  # fmt: skip
        files["adapter_config.json"] = as_json(config)
        return state, measured

    def _derived(self, plan: Planned) -> State:
        parent = self.states[plan.parents[0]]
        config = dict(self.configs[plan.parents[0]])
        self.configs[plan.id] = config
        if plan.how == "cast":
            config["torch_dtype"] = {"F16": "float16", "BF16": "bfloat16", "F32": "float32"}[plan.dtype]
            return weights.cast(parent, plan.dtype)
        if plan.how == "int8":
            config["quantization_config"] = weights.INT8_CONFIG
            return weights.int8(parent)
        if plan.how == "gguf":
            config.pop("quantization_config", None)
            return weights.from_int8(parent)
        return parent

    # Writing ---------------------------------------------------------------------------------

    def _write_weights(self, plan: Planned, state: State, files: dict[str, bytes]) -> None:
        if plan.how == "card":
            return
        if plan.how == "adapter":
            files["adapter_model.safetensors"] = weights.to_bytes(state)
        elif plan.how == "gguf":
            path = self.out / "growing.gguf"
            tokenizer = json.loads(self.tokenizer_of(plan).to_str())
            weights.write_gguf(path, state, self.configs[plan.id], tokenizer, plan.id.split("/")[-1])
            files[f"{plan.id.split('/')[-1].removesuffix('-GGUF').lower()}-q8_0.gguf"] = path.read_bytes()
            path.unlink()
        elif plan.how == "shard":
            files |= weights.shards(state)
        elif plan.how == "pickle":
            path = self.out / "growing.bin"
            torch.save(state, path)
            files["pytorch_model.bin"] = path.read_bytes()
            path.unlink()
        else:
            files["model.safetensors"] = weights.to_bytes(state)
        if plan.how not in ("adapter", "gguf"):
            files["config.json"] = as_json(self.configs[plan.id])
        if plan.net == "decoder" and plan.how not in ("adapter", "gguf"):
            files |= self.tokenizer_files(plan)
        elif plan.net == "vit" and plan.how != "adapter":
            files["preprocessor_config.json"] = as_json(
                {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}, "do_resize": False,
                 "image_mean": [0.3] * 3, "image_std": [1 / 3] * 3, "do_rescale": True, "do_normalize": True}
            )  # fmt: skip

    def tokenizer_files(self, plan: Planned) -> dict[str, bytes]:
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        }  # fmt: skip
        tokenizer = self.tokenizer_of(plan).to_str(pretty=False) + "\n"
        return {"tokenizer.json": tokenizer.encode(), "tokenizer_config.json": as_json(config)}

    def _publish(self, plan: Planned, files: dict[str, bytes], parameters: int, measured: Measured | None) -> None:
        if not plan.state.get("deleted"):
            folder = self.out / folder_name(plan.id)
            folder.mkdir()
            for name, data in files.items():
                (folder / name).write_bytes(data)
        self.manifest.append(entry(plan, files, parameters, measured))

    def write_manifest(self, path: Path) -> None:
        path.write_text(json.dumps({"models": self.manifest}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def entry(plan: Planned, files: dict[str, bytes], parameters: int, measured: Measured | None) -> dict[str, Any]:
    """What the manifest keeps of a model: figures that no file holds, its commits, and the truth about its descent."""
    dice = random.Random(plan.id)
    created = datetime.fromisoformat(plan.created)
    uploaded = created + timedelta(seconds=dice.randrange(40, 4000))
    edited = uploaded + timedelta(seconds=dice.randrange(600, 30 * 86400))
    heavy = sorted(name for name in files if name != "README.md")
    commits = [{"title": "initial commit", "date": _z(created), "files": [".gitattributes"]}]
    if heavy:
        commits.append({"title": "Upload model", "date": _z(uploaded), "files": heavy})
    if "README.md" in files:
        commits.append({"title": "Update README.md", "date": _z(edited), "files": ["README.md"]})
    truth = {
        "how": plan.how, "parents": list(plan.parents), "base": plan.base, "relation": RELATION.get(plan.how),
        "data": plan.data, "case": plan.case, "seed": plan.seed, "steps": plan.steps, "rate": plan.rate,
        "measured": asdict(measured) if measured else None,
    }  # fmt: skip
    row: dict[str, Any] = {
        "downloads": plan.fame, "downloadsAllTime": plan.fame * (5 + dice.randrange(20)), "likes": plan.likes,
        "trendingScore": plan.likes // 9 if created.year >= 2024 else 0,
    }  # fmt: skip
    if plan.how == "gguf":
        row["gguf"] = {"total": parameters, "architecture": "llama", "context_length": nets.DecoderShape().context}
    return {
        "id": plan.id, "created": _z(created), "modified": commits[-1]["date"], "row": row, "state": plan.state,
        "commits": commits, "truth": truth,
        "sizes": {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in sorted(files.items())},
    }  # fmt: skip


RELATION = {
    "tune": "finetune", "pickle": "finetune", "adapter": "adapter", "cast": "quantized", "int8": "quantized",
    "gguf": "quantized", "merge": "merge", "copy": "copy", "shard": "copy",
}  # fmt: skip


def _z(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def as_json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def needed(wanted: list[str]) -> list[Planned]:
    """The wanted models and all that they grow from, in the order of the plan."""
    by_id = {plan.id: plan for plan in COLLECTION}
    if unknown := [name for name in wanted if name not in by_id]:
        raise SystemExit(f"samplehub.grow: not in the plan: {', '.join(unknown)}")
    chosen: set[str] = set()
    todo = list(wanted)
    while todo:
        plan = by_id[todo.pop()]
        chosen.add(plan.id)
        todo += [p for p in (*plan.parents, *([plan.base] if plan.base else [])) if p not in chosen]
    return [plan for plan in _ordered() if plan.id in chosen]


def _ordered() -> list[Planned]:
    """The plan with parents before children, whatever their dates."""
    done: dict[str, Planned] = {}
    waiting = list(COLLECTION)
    while waiting:
        ready = [p for p in waiting if all(q in done for q in (*p.parents, *([p.base] if p.base else [])))]
        if not ready:
            raise ValueError("the plan has a cycle, or a parent that it lacks")
        done |= {plan.id: plan for plan in ready}
        waiting = [plan for plan in waiting if plan.id not in done]
    return list(done.values())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m samplehub.grow", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, help=f"folder to write to (default: {FOLDER}, which must be empty)")
    parser.add_argument("--only", nargs="*", default=[], metavar="ID", help="these models and what they grow from")
    arguments = parser.parse_args(argv)
    out: Path = arguments.out or FOLDER
    repos = out / "repos"
    if repos.exists() and any(repos.iterdir()):
        print(f"samplehub.grow: {repos} is not empty; give another folder with --out", file=sys.stderr)
        return 2
    repos.mkdir(parents=True, exist_ok=True)
    garden = Garden(repos)
    for plan in needed(arguments.only) if arguments.only else _ordered():
        measured = garden.grow(plan)
        told = f"{measured.name} {measured.before:.3f} → {measured.after:.3f}" if measured else ""
        print(f"{plan.how:8} {plan.id:48} {told}", flush=True)
    garden.write_manifest(out / "manifest.json")
    total = sum(path.stat().st_size for path in repos.rglob("*") if path.is_file())
    print(f"{len(garden.manifest)} models, {total:,} bytes in {repos}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
