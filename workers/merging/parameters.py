"""The method of a configuration: which inputs it takes, and whether its parameters are known, given and sensible."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from workers.merging.methods import FLAG, INTEGER, METHODS, TRIMMING, VECTORS, MergeMethod, Parameter
from workers.merging.records import Fault, Level
from workers.merging.shapes import Checked, Source, fault
from workers.merging.wording import listed, shown


# --- the method -----------------------------------------------------------------------------------------------------
def judge(config: Mapping[str, Any], found: Checked) -> None:
    name = config.get("merge_method")
    if not isinstance(name, str) or name not in METHODS:
        near = difflib.get_close_matches(str(name).lower().replace("-", "_"), METHODS, 1, 0.6)
        found.faults.append(
            fault(
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
            fault(
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
            fault("config.parameter_type", "`parameters` is no mapping.", "Write `parameters: {t: 0.5}`.")
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
    for given in (shared, *(source.parameters for source in _each(found))):
        found.filters += [each for value in given.values() for each in filters(value)]


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
                fault(
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
            fault(
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
            fault("config.count", f"Only the base {base} is listed: there is nothing to merge into it.", "Add models.")
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
                fault(
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
                fault(
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
                fault(
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


def filters(value: Any) -> Iterator[str]:
    """The filters of a parameter with entries by tensors' names."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, Mapping) and isinstance(each.get("filter"), str):
            yield each["filter"]


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
    return number if isfinite(number) else None


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
    return fault(
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
                        fault(
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
                fault(
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
                fault(
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
            fault(
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
    cause = mend = ""
    if abs(total) < 1e-8 and (normalize or name == "linear"):
        cause = "The weights add up to nothing, and they are divided by their sum."
        mend = "Give weights whose sum isn't zero, or write `normalize: false`."
    elif all(number == 0 for number in numbers):
        cause = "All weights are zero: the result is the base."
        mend = "Give the models weights above zero."
    elif name == "linear" and not normalize and abs(total - 1) > 1e-3:
        cause = f"The weights add up to {total:g} and are not normalized: all numbers grow by that factor."
        mend = "Let the weights add up to 1, or write `normalize: true`."
    if cause:
        found.faults.append(fault("config.weights", cause, mend, told, mergekit="silent"))


def _della(shared: Mapping[str, Any], others: Sequence[Source], found: Checked) -> None:
    for source in others:
        density = _number(source.parameters.get("density", shared.get("density", 1.0)))
        epsilon = _number(source.parameters.get("epsilon", shared.get("epsilon", 0.15)))
        if density is None or epsilon is None or density == 1.0:
            continue
        if density - epsilon <= 0 or density + epsilon >= 1:
            found.faults.append(
                fault(
                    "config.range",
                    f"`density` {density:g} and `epsilon` {epsilon:g} of {source.model.text} leave the range from 0 to "
                    "1 between them.",
                    "Let density - epsilon stay above 0 and density + epsilon below 1.",
                    ((source.model.text, f"{density - epsilon:g} to {density + epsilon:g}"),),
                    mergekit="silent",
                )
            )
