"""A mergekit configuration, read and checked before anything is downloaded. The program's own rules are in
``methods.py``; what it lets through in silence is what matters most here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.errors import BadRequest
from workers.merging.methods import (
    DTYPES,
    FLAG,
    INTEGER,
    METHODS,
    TEMPLATES,
    TOP_KEYS,
    TRIMMING,
    VECTORS,
    MergeMethod,
    Parameter,
)
from workers.merging.records import Fault, Level
from workers.merging.wording import listed, shown

CONFIG_BYTES = 64 * 1024
OTHER_PROGRAMS = {"experts": "mergekit-moe", "gate_mode": "mergekit-moe", "genome": "mergekit-evolve"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A model as a configuration names it: "model@revision+adapter@revision"."""

    text: str
    model: str
    revision: str = ""
    adapter: str = ""
    adapter_revision: str = ""

    @property
    def name(self) -> str:
        """What is to be looked at: the adapter where there is one, else the model."""
        return self.adapter or self.model


@dataclass(frozen=True, slots=True)
class Source:
    """One input of a merge: its model, its parameters, and of a slice its layers."""

    model: Reference
    parameters: Mapping[str, Any]
    layers: tuple[int, int] | None = None
    place: str = ""


@dataclass
class Checked:
    """A configuration that was looked through. ``groups`` are the sets of inputs that are merged with each other: one for
    `models`, one for each slice. ``faults`` hold what can be told from the configuration alone.
    """

    method: str = ""
    base: Reference | None = None
    groups: list[list[Source]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    tokenizer: str = ""  # "", "union", "base", or a model
    pads: bool = False
    chat_template: str = ""
    dtype: str = ""
    slices: bool = False

    @property
    def inputs(self) -> list[Reference]:
        """The models that are merged, each once, in order; the base only where it is among them."""
        found = {source.model.text: source.model for group in self.groups for source in group}
        return list(found.values())


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
            _fault(
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
            _fault(
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
    _method(config, found)
    return found


def _fault(
    code: str,
    cause: str,
    mend: str,
    compared: tuple[tuple[str, str], ...] = (),
    *,
    level: Level = Level.MEND,
    mergekit: str = "error",
) -> Fault:
    return Fault(code, level, cause, mend, compared, mergekit=mergekit)


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
            _fault(
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
            _fault("config.reference", f"`base_model` is no name of a model: {str(value)[:80]!r}.", _SPELLING)
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
                _fault("config.range", f"`pad_to_multiple_of` is {shown(pad)}: a whole number from 1 on is needed.",
                       "Write a multiple such as 64 or 128.", (("pad_to_multiple_of", shown(pad)),))
            )  # fmt: skip
        for key in set(config["tokenizer"]) - {"source", "tokens", "pad_to_multiple_of"}:
            found.faults.append(_unknown(f"tokenizer.{key}", ("source", "tokens", "pad_to_multiple_of"), str(key)))
    elif config.get("tokenizer") is not None:
        found.faults.append(
            _fault("config.parameter_type", f"`tokenizer` holds {str(config['tokenizer'])[:60]!r}, not a mapping.",
                   "Write `tokenizer: {source: union}`, or `tokenizer_source: union`.")
        )  # fmt: skip
    if isinstance(value, Mapping):
        named = reference(value)
        value = named.text if named else None
    found.tokenizer = value if isinstance(value, str) else ""


def _unknown(name: str, known: Sequence[str], key: str) -> Fault:
    near = difflib.get_close_matches(key, known, 1, 0.6)
    return _fault(
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
                _fault(
                    "config.dtype",
                    f"`{key}: {value}` is no type that numbers can be merged in.",
                    f"Write {near[0] if near else 'bfloat16 or float32'}; quantize the result afterwards where it is "
                    "to be smaller.",
                    ((key, str(value)),),
                )
            )
    found.dtype = str(config.get("dtype") or "")


def _template(config: Mapping[str, Any], found: Checked) -> None:
    value = config.get("chat_template")
    if value is None:
        return
    text = str(value)
    found.chat_template = text
    if text not in TEMPLATES and (len(text) < 20 or "{" not in text):
        found.faults.append(
            _fault(
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
                    _fault(
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
                _fault(
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
                _fault(
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
            _fault("config.output", f"`{place}` is no list.", "Write one entry `- model: NAME` for each.")
        )
        return []
    for i, each in enumerate(value):
        here = f"{place}[{i}]"
        named = reference(each.get("model")) if isinstance(each, Mapping) else None
        if named is None:
            said = each.get("model") if isinstance(each, Mapping) else each
            found.faults.append(
                _fault(
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
                    _fault(
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
                _fault(
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
            _fault(
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
            _fault(
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


# --- the method -----------------------------------------------------------------------------------------------------
def _method(config: Mapping[str, Any], found: Checked) -> None:
    name = config.get("merge_method")
    if not isinstance(name, str) or name not in METHODS:
        near = difflib.get_close_matches(str(name).lower().replace("-", "_"), METHODS, 1, 0.6)
        found.faults.append(
            _fault(
                "config.method",
                "`merge_method` is missing." if not name else f"mergekit knows no method named {str(name)[:40]!r}.",
                f"Did you mean `{near[0]}`?" if near else f"There are {listed(METHODS, most=len(METHODS))}.",
                (("merge_method", shown(name)),),
            )
        )
        return
    found.method = name
    method = METHODS[name]
    if method.base == "required" and found.base is None and not _bases_of_slices(config):
        found.faults.append(
            _fault(
                "config.base_missing",
                f"`{name}` works on differences to a base, and `base_model` is not given.",
                "Name the common ancestor as `base_model`"
                + ("; for slerp one of the two models." if name == "slerp" else "."),
                (("base_model", "none"),),
            )
        )
    shared = config.get("parameters") or {}
    if not isinstance(shared, Mapping):
        found.faults.append(
            _fault("config.parameter_type", "`parameters` is no mapping.", "Write `parameters: {t: 0.5}`.")
        )
        shared = {}
    for group in found.groups:
        _count(name, method, group, found)
    _known(name, method, shared, "parameters", found)
    for source in _each(found):
        _known(name, method, source.parameters, f"{source.place}.parameters", found)
    _required(name, method, shared, found)
    _ranges(method, shared, found)
    _sense(name, method, shared, found)


def _bases_of_slices(config: Mapping[str, Any]) -> bool:
    slices = config.get("slices")
    return isinstance(slices, list) and all(isinstance(s, Mapping) and s.get("base_model") for s in slices)


def _each(found: Checked) -> Iterator[Source]:
    for group in found.groups:
        yield from group


def _count(name: str, method: MergeMethod, group: Sequence[Source], found: Checked) -> None:
    texts = list(dict.fromkeys(source.model.text for source in group))
    base = found.base.text if found.base else ""
    if not texts:
        return
    if base and base not in texts:
        if method.base == "ignored":
            found.faults.append(
                _fault(
                    "config.base_joins",
                    f"`{name}` has no use for a base: mergekit adds {base} as one more input, which then lacks its "
                    "parameters.",
                    "Name one of the models as `base_model` (its configuration and tokenizer are taken), or list the "
                    "base "
                    "with a weight.",
                    (("base_model", base), ("models", listed(texts, most=8))),
                )
            )
            return
        texts = [*texts, base]
    others = len(texts) - (base in texts)
    (least, most), counted, words = method.inputs, len(texts), "models, the base included"
    if method.others != (0, None):
        (least, most), counted, words = method.others, others, "models beside the base"
    if counted < least or (most is not None and counted > most):
        wanted = f"exactly {least}" if least == most else f"at least {least}" if counted < least else f"at most {most}"
        found.faults.append(
            _fault(
                "config.count",
                f"`{name}` takes {wanted} {words}; here are {counted}: {listed(texts, most=8)}.",
                "Take a method for more models (task_arithmetic, ties, linear)"
                + (", or merge two at a time." if name in ("slerp", "nuslerp") else ".")
                if most is not None and counted > most
                else "Add models, or take another method.",
                (("method takes", wanted), ("given", str(counted))),
            )
        )
    elif others == 0 and method.base == "required":
        found.faults.append(
            _fault("config.count", f"Only the base {base} is listed: there is nothing to merge into it.", "Add models.")
        )


def _known(name: str, method: MergeMethod, given: Mapping[str, Any], place: str, found: Checked) -> None:
    for key, value in given.items():
        parameter = method.parameters.get(str(key))
        if parameter is None:
            others = sorted(other for other, each in METHODS.items() if key in each.parameters)
            near = difflib.get_close_matches(str(key), method.parameters, 1, 0.6)
            mend = (
                f"It belongs to {listed(others, most=3)}; `{name}` takes {listed(method.parameters, most=8) or 'none'}."
                if others
                else f"Did you mean `{near[0]}`?"
                if near
                else f"`{name}` takes {listed(method.parameters, most=8) or 'no parameters'}."
            )
            found.faults.append(
                _fault(
                    "config.parameter_unknown",
                    f"`{key}` is no parameter of `{name}`: mergekit leaves it aside without a word.",
                    mend,
                    ((f"{place}.{key}", shown(value) if not isinstance(value, list | Mapping) else "given"),),
                    mergekit="silent",
                )
            )
            continue
        if place != "parameters" and not parameter.each:
            found.faults.append(
                _fault(
                    "config.parameter_place",
                    f"`{key}` holds for the whole merge; given for one model it is left aside.",
                    "Move it to `parameters` at the top.",
                    ((f"{place}.{key}", shown(value) if not isinstance(value, list | Mapping) else "given"),),
                    mergekit="silent",
                )
            )
        wrong = next((each for each in scalars(value) if not _is(parameter, each)), _FINE)
        if wrong is not _FINE or not list(scalars(value)):
            found.faults.append(
                _fault(
                    "config.parameter_type",
                    f"`{key}` of {place} is {shown(str(wrong) if wrong is not _FINE else None)!r}; it has to be "
                    f"{parameter.kind}.",
                    f"Write {parameter.kind}, a list of them (a gradient over the layers), or entries of `filter` and "
                    "`value`.",
                    ((f"{place}.{key}", str(wrong if wrong is not _FINE else value)[:60]),),
                )
            )


_FINE = object()


def scalars(value: Any) -> Iterator[Any]:
    """The single values of a parameter: of a scalar, a gradient, or entries with filters."""
    if isinstance(value, list):
        for each in value:
            yield from scalars(each)
    elif isinstance(value, Mapping):
        yield from scalars(value.get("value"))
    else:
        yield value


def _is(parameter: Parameter, value: Any) -> bool:
    if parameter.kind == FLAG:
        return isinstance(value, bool) or value in (0, 1)
    number = _number(value)
    return number is not None and (parameter.kind != INTEGER or number == int(number))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number and abs(number) != float("inf") else None


def _required(name: str, method: MergeMethod, shared: Mapping[str, Any], found: Checked) -> None:
    for key, parameter in method.parameters.items():
        if not parameter.required or key in shared:
            continue
        if not parameter.each:
            if not found.slices:
                found.faults.append(_lacks(name, key, "the merge"))
            continue
        base = found.base.text if found.base else ""
        bare = [
            source.model.text
            for source in _each(found)
            if key not in source.parameters and not (parameter.each == "other" and source.model.text == base)
        ]
        if bare:
            found.faults.append(_lacks(name, key, listed(dict.fromkeys(bare), most=8)))


def _lacks(name: str, key: str, whose: str) -> Fault:
    example = "0.5" if key == "t" else "1.0"
    return _fault(
        "config.parameter_missing",
        f"`{name}` needs `{key}`, and {whose} has none.",
        f"Write `{key}: {example}` under its `parameters`"
        + (" (0 is the base, 1 the other model)." if key == "t" else " or under `parameters` at the top for all."),
        ((whose, f"no {key}"),),
    )


def _ranges(method: MergeMethod, shared: Mapping[str, Any], found: Checked) -> None:
    places = [("parameters", shared), *((f"{s.model.text}", s.parameters) for s in _each(found))]
    for place, given in places:
        for key, parameter in method.parameters.items():
            for value in scalars(given[key]) if key in given else ():
                number = _number(value)
                if number is None:
                    continue
                low, high = parameter.low, parameter.high
                under = low is not None and (number < low or (parameter.open_low and number == low))
                over = high is not None and number > high
                if under or over:
                    wanted = f"{'above' if parameter.open_low else 'from'} {low:g}" + (
                        f" to {high:g}" if high is not None else ""
                    )
                    found.faults.append(
                        _fault(
                            "config.range",
                            f"`{key}` of {place} is {shown(value)}; it makes sense {wanted}.",
                            f"Write a value {wanted}.",
                            ((f"{place}: {key}", shown(value)), ("range", wanted)),
                            mergekit="silent",
                        )
                    )
                    break


def _sense(name: str, method: MergeMethod, shared: Mapping[str, Any], found: Checked) -> None:
    """What is allowed, and says something else than its author meant."""
    base = found.base.text if found.base else ""
    others = [source for source in _each(found) if source.model.text != base]
    if name in TRIMMING and "density" not in shared:
        bare = [source.model.text for source in others if "density" not in source.parameters]
        if bare:
            found.faults.append(
                _fault(
                    "config.density",
                    f"`density` is not written for {listed(dict.fromkeys(bare), most=8)}: its default is 1.0, with "
                    "which "
                    f"`{name}` {'drops' if name.startswith('dare') else 'trims'} nothing.",
                    "Write `density: 0.2` (the share that is kept; TIES keeps the largest 20%), or take "
                    "task_arithmetic.",
                    tuple((text, "density 1.0 by default") for text in dict.fromkeys(bare)),
                    mergekit="silent",
                )
            )
    if base and name in VECTORS:
        among = [s for s in _each(found) if s.model.text == base and "weight" in s.parameters]
        if among:
            found.faults.append(
                _fault(
                    "config.base_among",
                    f"The base {base} stands among the models with a weight: its difference to itself is nothing.",
                    "Take it out of `models`; the weight changes nothing.",
                    ((base, f"weight {shown(next(scalars(among[0].parameters['weight']), None))}"),),
                    level=Level.NOTE,
                    mergekit="silent",
                )
            )
    _weights(name, method, shared, others if method.base != "ignored" else list(_each(found)), found)
    if name.startswith("della"):
        _della(shared, others, found)
    if not found.dtype:
        found.faults.append(
            _fault(
                "config.dtype_missing",
                "`dtype` is not given: each tensor is merged in the type it is stored in.",
                "Write `dtype: float32` to compute in, and `out_dtype: bfloat16` to store in.",
                (("dtype", "none"),),
                level=Level.NOTE,
                mergekit="silent",
            )
        )


def _weights(
    name: str, method: MergeMethod, shared: Mapping[str, Any], sources: Sequence[Source], found: Checked
) -> None:
    """Sums of weights that divide by nothing, or scale the whole model."""
    if "weight" not in method.parameters or found.slices:
        return
    values = [s.parameters.get("weight", shared.get("weight")) for s in sources]
    numbers = [_number(value) for value in values if not isinstance(value, list | Mapping)]
    if not numbers or None in numbers or len(numbers) != len(sources):
        return
    total = sum(number for number in numbers if number is not None)
    normalize = shared.get(
        "normalize", method.parameters["normalize"].default if "normalize" in method.parameters else False
    )
    told = tuple(
        (s.model.text, f"weight {number:g}") for s, number in zip(sources, numbers, strict=True) if number is not None
    )
    if abs(total) < 1e-8 and (normalize or name == "linear"):
        found.faults.append(
            _fault("config.weights", "The weights add up to nothing, and they are divided by their sum.",
                   "Give weights whose sum isn't zero, or write `normalize: false`.", told, mergekit="silent")
        )  # fmt: skip
    elif all(number == 0 for number in numbers):
        found.faults.append(
            _fault("config.weights", "All weights are zero: the result is the base.", "Give the models weights above zero.",
                   told, mergekit="silent")
        )  # fmt: skip
    elif name == "linear" and not normalize and abs(total - 1) > 1e-3:
        found.faults.append(
            _fault("config.weights", f"The weights add up to {total:g} and are not normalized: all numbers grow by that factor.",
                   "Let the weights add up to 1, or write `normalize: true`.", told, mergekit="silent")
        )  # fmt: skip


def _della(shared: Mapping[str, Any], others: Sequence[Source], found: Checked) -> None:
    for source in others:
        density = _number(source.parameters.get("density", shared.get("density", 1.0)))
        epsilon = _number(source.parameters.get("epsilon", shared.get("epsilon", 0.15)))
        if density is None or epsilon is None or density == 1.0:
            continue
        if density - epsilon <= 0 or density + epsilon >= 1:
            found.faults.append(
                _fault(
                    "config.range",
                    f"`density` {density:g} and `epsilon` {epsilon:g} of {source.model.text} leave the range from 0 to "
                    "1 between them.",
                    "Let density - epsilon stay above 0 and density + epsilon below 1.",
                    ((source.model.text, f"{density - epsilon:g} to {density + epsilon:g}"),),
                    mergekit="silent",
                )
            )
