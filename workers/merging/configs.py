"""A mergekit configuration, read and checked before anything is downloaded. The program's own rules are in
``methods.py``; what it lets through in silence is what matters most here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from workers.errors import BadRequest
from workers.merging import parameters
from workers.merging.methods import DTYPES, METHODS, TEMPLATES, TOP_KEYS
from workers.merging.records import Fault
from workers.merging.shapes import Checked, Reference, Source, fault
from workers.merging.wording import listed, shown

CONFIG_BYTES = 64 * 1024
OTHER_PROGRAMS = {"experts": "mergekit-moe", "gate_mode": "mergekit-moe", "genome": "mergekit-evolve"}


def read(text: str) -> Mapping[str, Any]:
    """A configuration from its YAML, by the safe loader. Raises BadRequest: where, and what."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Without aliases, which let ten lines grow to gigabytes, and without keys that are given twice."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not read", mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(str(key.value))
            return super().construct_mapping(node, deep)

    if len(text.encode("utf-8", "replace")) > CONFIG_BYTES:
        raise BadRequest(f"The configuration is over {CONFIG_BYTES // 1024} kB: no merge needs that much.")
    try:
        config = yaml.load(text, Loader=Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadRequest(f"The configuration is no YAML: {where}{getattr(error, 'problem', None) or error}.") from None
    except (ValueError, RecursionError, TypeError, OverflowError) as error:
        raise BadRequest(f"The configuration can't be read: {error}.") from None
    if not isinstance(config, Mapping):
        raise BadRequest("The configuration is no mapping: it begins with `merge_method:` or `models:`.")
    return config


def reference(value: Any) -> Reference | None:
    """A model reference in one of mergekit's spellings; None where it is none."""
    if isinstance(value, Mapping):
        inner = value.get("model")
        lora = value.get("lora")
        if isinstance(inner, Mapping):
            path, revision = inner.get("path"), inner.get("revision")
            text = f"{path}@{revision}" if revision else path
        else:
            text = inner
        if isinstance(lora, Mapping):
            lora = lora.get("path")
        return reference(f"{text}+{lora}" if lora else text)
    if not isinstance(value, str) or not value.strip() or value.count("+") > 1:
        return None
    model, _, adapter = value.strip().partition("+")
    if model.count("@") > 1 or adapter.count("@") > 1 or not model:
        return None
    name, _, revision = model.partition("@")
    lora_name, _, lora_revision = adapter.partition("@")
    return Reference(value.strip(), name, revision, lora_name, lora_revision)


def check(config: Mapping[str, Any]) -> Checked:
    """Look a configuration through. Never raises."""
    found = Checked()
    tell = found.faults.append
    _keys(config, found)
    output = [key for key in ("models", "slices", "modules") if config.get(key)]
    if len(output) != 1:
        tell(
            fault(
                "config.output",
                f"Exactly one of `models`, `slices` and `modules` says what is merged; here {listed(output) or 'none'} "
                "does.",
                "Keep one of them.",
                (("given", listed(output) or "none"),),
            )
        )
    found.base = _base(config.get("base_model"), found)
    if config.get("tokenizer_source") and config.get("tokenizer"):
        tell(
            fault(
                "config.tokenizer_twice",
                "`tokenizer_source` and `tokenizer` are both given; mergekit takes one of them.",
                "Keep `tokenizer`, whose `source` says the same.",
                (("tokenizer_source", shown(str(config["tokenizer_source"]))), ("tokenizer", "given")),
            )
        )
    _tokenizer(config, found)
    _dtypes(config, found)
    _template(config, found)
    _groups(config, output, found)
    parameters.judge(config, found)
    return found


# --- the frame ------------------------------------------------------------------------------------------------------
def _keys(config: Mapping[str, Any], found: Checked) -> None:
    for key in config:
        if key in TOP_KEYS:
            continue
        program = OTHER_PROGRAMS.get(str(key))
        near = difflib.get_close_matches(str(key), TOP_KEYS, 1, 0.7)
        known = any(str(key) in method.parameters for method in METHODS.values())
        mend = (
            f"This is a configuration of {program}, another program."
            if program
            else f"Put it under `parameters`: `{key}` at the top says nothing."
            if known
            else f"Did you mean `{near[0]}`?"
            if near
            else "Take it out, or look up how the setting is called."
        )
        found.faults.append(
            fault(
                "config.unknown_key",
                f"`{key}` is no setting of mergekit {'' if program else 'and is left aside without a word'}".strip()
                + ".",
                mend,
                ((str(key), shown(str(config[key])[:60])),),
                mergekit="silent",
            )
        )


def _base(value: Any, found: Checked) -> Reference | None:
    if value is None:
        return None
    base = reference(value)
    if base is None:
        found.faults.append(
            fault("config.reference", f"`base_model` is no name of a model: {str(value)[:80]!r}.", _SPELLING)
        )
    return base


_SPELLING = "Write “account/model”, a folder, “account/model@revision”, or “BASE+ADAPTER”."


def _tokenizer(config: Mapping[str, Any], found: Checked) -> None:
    value = config.get("tokenizer_source")
    if isinstance(config.get("tokenizer"), Mapping):
        value = config["tokenizer"].get("source", "union")
        pad = config["tokenizer"].get("pad_to_multiple_of")
        found.pads = isinstance(pad, int) and pad > 0
        if pad is not None and (not isinstance(pad, int) or isinstance(pad, bool) or pad < 1):
            found.faults.append(
                fault("config.range", f"`pad_to_multiple_of` is {shown(pad)}: a whole number from 1 on is needed.",
                       "Write a multiple such as 64 or 128.", (("pad_to_multiple_of", shown(pad)),))
            )  # fmt: skip
        for key in set(config["tokenizer"]) - {"source", "tokens", "pad_to_multiple_of"}:
            found.faults.append(_unknown(f"tokenizer.{key}", ("source", "tokens", "pad_to_multiple_of"), str(key)))
    elif config.get("tokenizer") is not None:
        found.faults.append(
            fault("config.parameter_type", f"`tokenizer` holds {str(config['tokenizer'])[:60]!r}, not a mapping.",
                   "Write `tokenizer: {source: union}`, or `tokenizer_source: union`.")
        )  # fmt: skip
    if isinstance(value, Mapping):
        named = reference(value)
        value = named.text if named else None
    found.tokenizer = value if isinstance(value, str) else ""


def _unknown(name: str, known: Sequence[str], key: str) -> Fault:
    near = difflib.get_close_matches(key, known, 1, 0.6)
    return fault(
        "config.unknown_key",
        f"`{name}` is no setting of mergekit and is left aside without a word.",
        f"Did you mean `{near[0]}`?" if near else f"Known here: {listed(known, most=8)}.",
        ((name, "unknown"),),
        mergekit="silent",
    )


def _dtypes(config: Mapping[str, Any], found: Checked) -> None:
    for key in ("dtype", "out_dtype"):
        value = config.get(key)
        if value is None:
            continue
        name = str(value).removeprefix("torch.")
        if name not in DTYPES:
            near = difflib.get_close_matches(name, DTYPES, 1, 0.3)
            found.faults.append(
                fault(
                    "config.dtype",
                    f"`{key}: {value}` is no type that numbers can be merged in.",
                    f"Write {near[0] if near else 'bfloat16 or float32'}; quantize the result afterwards where it is "
                    "to be smaller.",
                    ((key, str(value)),),
                )
            )
    found.dtype = str(config.get("dtype") or "").removeprefix("torch.")
    found.out_dtype = str(config.get("out_dtype") or "").removeprefix("torch.")


def _template(config: Mapping[str, Any], found: Checked) -> None:
    value = config.get("chat_template")
    if value is None:
        return
    text = str(value)
    found.chat_template = text
    if text not in TEMPLATES and (len(text) < 20 or "{" not in text):
        found.faults.append(
            fault(
                "config.chat_template",
                f"`chat_template: {text[:40]}` is neither a template nor one that mergekit knows by name.",
                f"Write a whole Jinja template, or one of {listed(sorted(TEMPLATES), most=8, joint='or')}.",
                (("chat_template", text[:60]),),
            )
        )


# --- inputs ---------------------------------------------------------------------------------------------------------
def _groups(config: Mapping[str, Any], output: Sequence[str], found: Checked) -> None:
    if "models" in output:
        found.groups.append(_sources(config["models"], "models", found))
    elif "slices" in output:
        found.slices = True
        _slices(config["slices"], "slices", found)
    elif "modules" in output and isinstance(config["modules"], Mapping):
        for name, module in config["modules"].items():
            if not isinstance(module, Mapping) or bool(module.get("models")) == bool(module.get("slices")):
                found.faults.append(
                    fault(
                        "config.output", f"The module {name!r} needs either `models` or `slices`.", "Keep one of them."
                    )
                )
            elif module.get("models"):
                found.groups.append(_sources(module["models"], f"modules.{name}.models", found))
            else:
                found.slices = True
                _slices(module["slices"], f"modules.{name}.slices", found)


def _slices(value: Any, place: str, found: Checked) -> None:
    for i, each in enumerate(value if isinstance(value, list) else []):
        sources = each.get("sources") if isinstance(each, Mapping) else None
        if not isinstance(sources, list) or not sources:
            found.faults.append(
                fault(
                    "config.slices",
                    f"{place}[{i}] has no `sources`.",
                    "Give each slice its `sources`, a list of models.",
                )
            )
            continue
        group = _sources(sources, f"{place}[{i}].sources", found, sliced=True)
        lengths = {s.layers[1] - s.layers[0] for s in group if s.layers}
        if len(lengths) > 1:
            found.faults.append(
                fault(
                    "config.slices",
                    f"The inputs of {place}[{i}] have different numbers of layers: "
                    f"{listed(map(str, sorted(lengths)))}.",
                    "Give all inputs of one slice ranges of the same length.",
                    tuple((s.model.text, f"{s.layers[0]} to {s.layers[1]}") for s in group if s.layers),
                )
            )
        found.groups.append(group)


def _sources(value: Any, place: str, found: Checked, *, sliced: bool = False) -> list[Source]:
    sources: list[Source] = []
    if not isinstance(value, list):
        found.faults.append(
            fault("config.output", f"`{place}` is no list.", "Write one entry `- model: NAME` for each.")
        )
        return []
    for i, each in enumerate(value):
        here = f"{place}[{i}]"
        named = reference(each.get("model")) if isinstance(each, Mapping) else None
        if named is None:
            said = each.get("model") if isinstance(each, Mapping) else each
            found.faults.append(
                fault(
                    "config.reference",
                    f"{here} names no model: {str(said)[:80]!r}.",
                    _SPELLING,
                    ((here, str(said)[:80]),),
                )
            )
            continue
        known = ("model", "parameters", "layer_range") if sliced else ("model", "parameters")
        for key in set(each) - set(known):
            if key == "weight" or any(key in method.parameters for method in METHODS.values()):
                found.faults.append(
                    fault(
                        "config.unknown_key",
                        f"`{key}` of {named.text} stands beside `model`, where it is left aside without a word.",
                        "Put it under `parameters` of that model.",
                        ((f"{here}.{key}", shown(each[key])),),
                        mergekit="silent",
                    )
                )
            else:
                found.faults.append(_unknown(f"{here}.{key}", known, str(key)))
        parameters = each.get("parameters") or {}
        if not isinstance(parameters, Mapping):
            found.faults.append(
                fault(
                    "config.parameter_type",
                    f"`parameters` of {here} is no mapping.",
                    "Write `parameters: {weight: 0.5}`.",
                )
            )
            parameters = {}
        sources.append(Source(named, parameters, _range(each, here, found) if sliced else None, here))
    seen = [source.model.text for source in sources]
    for text in sorted({text for text in seen if seen.count(text) > 1}):
        found.faults.append(
            fault(
                "config.duplicate",
                f"{text} stands more than once in {place}.",
                "Name it once, with a weight as large as both.",
                ((text, f"{seen.count(text)} times"),),
            )
        )
    return sources


def _range(each: Mapping[str, Any], place: str, found: Checked) -> tuple[int, int] | None:
    value = each.get("layer_range")
    whole = isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value)
    if not whole or value is None or value[0] < 0 or value[1] <= value[0]:
        found.faults.append(
            fault(
                "config.slices",
                f"`layer_range` of {place} is {shown(value)}: two whole numbers are needed, the first layer and the "
                "one after "
                "the last.",
                "Write it as in `layer_range: [0, 16]`.",
                ((f"{place}.layer_range", shown(value)),),
            )
        )
        return None
    return value[0], value[1]
