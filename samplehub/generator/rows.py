"""Rows made from a generated forest: names, cards, tags, dirt. The same index gives the same row each time."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from samplehub.generator import extras, names
from samplehub.generator.forest import ADAPTER, DIRT_NAMES, FINETUNE, MERGE, QUANTIZED, UNRESOLVED, Forest
from samplehub.shape import RELATIONS, Row

BLOCK = 1024  # rows whose figures are turned into Python's own at once: reading an array one by one is ten times slower
TRAITS = (
    "created", "modified", "parent", "relation", "architecture", "size", "card", "licence", "language", "dataset",
    "variation", "dirt", "downloads", "likes", "trending", "gated", "suffix",
)  # fmt: skip
CARD_TAGS = {MERGE: ("mergekit", "merge"), ADAPTER: ("lora",)}
TUNED_TAGS = ("trl", "sft"), ("generated_from_trainer",), ("generated_from_trainer",)
DTYPES = ("BF16", "F32", "F16", "BF16")
GATES = (False, "auto", "manual")


class Generated(Forest):
    """A forest that tells each of its models as a row of the API, and the truth about it."""

    def __init__(self, n: int, seed: int = 0) -> None:
        super().__init__(n, seed)
        self._block_number = -1
        self._block: dict[str, list[Any]] = {}
        self.short_name = functools.lru_cache(maxsize=200_000)(self._short_name)
        self.id = functools.lru_cache(maxsize=200_000)(self._id)

    # Names -----------------------------------------------------------------------------------

    def author_name(self, i: int) -> str:
        """The namespace of the model at an index."""
        number, noun = divmod(int(self.author[i]) * 37, len(names.NOUNS))
        number, adjective = divmod(number, len(names.ADJECTIVES))
        name = f"{names.ADJECTIVES[adjective]}-{names.NOUNS[noun]}"
        return f"{name}{number}" if number else name

    def _short_name(self, i: int) -> str:
        relation, suffix, copy = int(self.relation[i]), int(self.suffix[i]), int(self.copy[i])
        if relation == QUANTIZED:
            name = f"{self.short_name(int(self.parent[i]))}-{names.QUANTIZED_SUFFIXES[suffix]}"
        else:
            architecture = names.ARCHITECTURES[self.architecture[i]]
            ending = names.SUFFIXES[RELATIONS[relation]][suffix] if relation >= 0 else names.ROOT_SUFFIXES[suffix]
            name = f"{architecture.base}-{architecture.sizes[self.size[i]][0]}-{ending}".rstrip("-")
        return f"{name}-run{copy + 1}" if copy else name

    def _id(self, i: int) -> str:
        """The repo id of the model at an index."""
        return self.short_name(i) if i < self.bare else f"{self.author_name(i)}/{self.short_name(i)}"

    def oid(self, i: int) -> str:
        """Its ``_id``: rises with the index, so creation dates and ``_id`` agree."""
        return f"{int(self.created[i]):08x}{self.seed & 0xFFFFFFFF:08x}{i:08x}"

    # The truth -------------------------------------------------------------------------------

    def dirt_of(self, i: int) -> str | None:
        """What is wrong with a model's card; None where nothing is."""
        return DIRT_NAMES[self.dirt[i]] if self.dirt[i] >= 0 else None

    def declared(self, i: int) -> list[str]:
        """What the card names as base models, verbatim."""
        if not self.card[i] or self.parent[i] < 0:
            return []
        parents = [self.id(p) for p in self.parents(i)]
        return parents if self.dirt[i] < 0 else self._spoilt(i, parents, DIRT_NAMES[self.dirt[i]])

    def _spoilt(self, i: int, parents: list[str], dirt: str) -> list[str]:
        first = parents[0]
        short = first.rsplit("/", 1)[-1]
        instead = {
            "wrong_case": first.swapcase(), "missing_parent": f"deleted-{first}", "no_namespace": f"{short}-hf",
            "self_reference": self.id(i), "local_path": f"./outputs/{short}/checkpoint-{self.variation[i] % 90 * 50}",
            "trailing_slash": f"{first}/", "blob_url": f"https://huggingface.co/{first}/blob/main/README.md",
            "html": f'<a href="https://huggingface.co/{first}">{first}</a>', "dataset_path": f"datasets/{first}",
        }.get(dirt)  # fmt: skip
        if instead is not None:
            return [instead]
        return {
            "duplicate_entry": [*parents, first],
            "dropped_entry": [*parents, f"deleted-{first}"],
            "merge_as_finetune": [first, f"{first}-private"],
        }.get(dirt, parents)

    def resolved(self, i: int) -> list[int]:
        """The parents that the Hub resolves a card to."""
        unresolved = not self.card[i] or (self.dirt[i] >= 0 and DIRT_NAMES[self.dirt[i]] in UNRESOLVED)
        return [] if unresolved else self.parents(i)

    # Rows ------------------------------------------------------------------------------------

    def row(self, i: int) -> Row:
        """The model at an index as a row of the API, with all fields that the generator knows."""
        if i // BLOCK != self._block_number:
            self._read_block(i // BLOCK)
        get = {name: values[i % BLOCK] for name, values in self._block.items()}
        relation, variation, architecture = get["relation"], get["variation"], names.ARCHITECTURES[get["architecture"]]
        repo_id, total = self.id(i), architecture.sizes[get["size"]][1]
        gguf = relation == QUANTIZED and "GGUF" in names.QUANTIZED_SUFFIXES[get["suffix"]]
        library = None if gguf or (not get["card"] and variation % 3 == 0) else architecture.library
        if relation == ADAPTER:
            library = "peft"
        task: str | None = (
            names.TASKS[variation % len(names.TASKS)] if relation >= 0 and variation % 100 < 23 else architecture.task
        )
        if variation % 8 == 0:
            task = None
        weights = bool(total) and not gguf and (relation in (ADAPTER, MERGE) or variation % 100 < 23)
        row: Row = {
            "_id": self.oid(i), "id": repo_id, "modelId": repo_id,
            "author": repo_id.split("/", 1)[0] if i >= self.bare else None,
            "createdAt": get["created"], "lastModified": get["modified"],
            "downloads": get["downloads"], "downloadsAllTime": get["downloads"] * (3 + variation % 40),
            "likes": get["likes"], "trendingScore": get["trending"],
            "private": False, "disabled": False, "gated": GATES[get["gated"]],
            "sha": f"{i:08x}{variation:08x}{self.seed & 0xFFFFFFFF:08x}{i ^ 0x5A5A5A5A:08x}{variation ^ 0xFFFF:08x}",
        }  # fmt: skip
        card = self._card(i, get, library, task) if get["card"] else None
        if card is not None:
            row["cardData"] = card
        tags = [library] if library else []
        if gguf or weights:
            tags.append("gguf" if gguf else "safetensors")
        if relation != ADAPTER and not gguf:
            tags.append(architecture.model_type)
            row["config"] = self._config(architecture, library, variation)
        if task:
            tags.append(task)
            row["pipeline_tag"] = task
        if weights or gguf:
            tags += extras.CHATTY if task == "text-generation" else extras.SERVED
        if library:
            row["library_name"] = library
        if weights and relation != ADAPTER:
            row["safetensors"] = {"parameters": {DTYPES[variation % 4]: total}, "total": total}
        if gguf:
            row["gguf"] = {
                "total": total,
                "architecture": architecture.model_type,
                "context_length": 8192 << variation % 3,
            }
        self._add_card_tags(i, row, card, tags, relation)
        return row

    @staticmethod
    def _config(architecture: names.Architecture, library: str | None, variation: int) -> Row:
        """The Hub's extract of the configuration: of two in three models of transformers also the tokenizer's."""
        config: Row = {"model_type": architecture.model_type}
        if library == "transformers":
            head = "ForCausalLM" if architecture.task == "text-generation" else "Model"
            config["architectures"] = [f"{architecture.model_type.title().replace('-', '')}{head}"]
            if variation % 3:
                chats = architecture.task == "text-generation" and variation % 5 != 0
                config["tokenizer_config"] = extras.tokenizer_config(variation, chats=chats)
        return config

    def _read_block(self, number: int) -> None:
        span = slice(number * BLOCK, min(self.n, (number + 1) * BLOCK))
        block = {name: getattr(self, name)[span].tolist() for name in TRAITS}
        for name in ("created", "modified"):
            moments = getattr(self, name)[span].astype("datetime64[s]").astype("datetime64[ms]")
            block[name] = [f"{text}Z" for text in np.datetime_as_string(moments).tolist()]
        self._block, self._block_number = block, number

    def _add_card_tags(self, i: int, row: Row, card: Row | None, tags: list[str], relation: int) -> None:
        """The rest of the tags, in the Hub's order; and the resolved parents."""
        if card:
            tags += card.get("tags", ())
            language = card.get("language", ())
            tags += [language] if isinstance(language, str) else language
            datasets = card.get("datasets", ())
            tags += [f"dataset:{name}" for name in ([datasets] if isinstance(datasets, str) else datasets)]
        if resolved := self.resolved(i) if relation >= 0 else ():
            models = [{"_id": self.oid(p), "id": self.id(p)} for p in resolved]
            if len(models) > 1:
                models.sort(key=lambda model: model["id"])
            row["baseModels"] = {"relation": RELATIONS[relation], "models": models}
            for model in models:
                tags += (f"base_model:{model['id']}", f"base_model:{RELATIONS[relation]}:{model['id']}")
        if card and "license" in card:
            licence = card["license"]
            tags.append(f"license:{licence if isinstance(licence, str) else licence[0]}")
        tags.append("region:us")
        row["tags"] = tags

    def _card(self, i: int, get: dict[str, Any], library: str | None, task: str | None) -> Row:
        """The front matter: what people write, in the shares and spellings in which they write it."""
        card: Row = {}
        relation, variation = get["relation"], get["variation"]
        dirt = DIRT_NAMES[get["dirt"]] if get["dirt"] >= 0 else None
        odd = dirt == "key_case"
        if declared := self.declared(i):
            as_text = len(declared) == 1 and variation % 4 != 0
            card["Base_model" if odd else "base_model"] = declared[0] if as_text else declared
            if variation % 120 == 0:
                card["base_model_relation"] = RELATIONS[relation]
        if library:
            card["library_name"] = library
        if variation % 5:
            licence = names.LICENCES[get["licence"]][0]
            card["License" if odd else "license"] = [licence] if variation % 500 == 1 else licence
            if licence == "other":
                card["license_name"] = "sample-community-licence"
        if variation % 3 == 0:
            language = names.LANGUAGES[get["language"]][0]
            card["language"] = language if variation % 50 == 0 else [language]
        if get["dataset"] >= 0:
            dataset = names.DATASETS[get["dataset"]]
            card["datasets"] = dataset if variation % 9 == 0 else [dataset]
        if task:
            card["pipeline_tag"] = task
        tags = TUNED_TAGS[variation % 3] if relation == FINETUNE else CARD_TAGS.get(relation, ())
        if dirt == "merge_as_finetune":
            tags = CARD_TAGS[MERGE]
        if tags:
            card["tags"] = list(tags)
        if index := extras.model_index(self.short_name(i), variation):
            card["model-index"] = index
        if examples := extras.widget(variation):
            card["widget"] = examples
        return card

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[Row]:
        """Rows by index, the oldest first."""
        for i in range(start, self.n if stop is None else min(stop, self.n)):
            yield self.row(i)


def rows(start: int, stop: int, *, n: int | None = None, seed: int = 0) -> Iterator[Row]:
    """Rows ``start`` to ``stop`` of ``n`` (default: ``stop``) generated models, the oldest first."""
    return Generated(n or stop, seed).rows(start, stop)
