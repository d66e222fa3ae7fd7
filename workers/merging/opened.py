"""A merge judged from open sources: folders of this machine, or repos of the Hub in a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from workers.errors import RootstockError
from workers.merging import adapters as adapter_rules
from workers.merging import statistics, verdicts
from workers.merging.records import Candidate, Forebear, Report, Sampling
from workers.merging.shapes import Checked
from workers.weights.inspecting import inspect
from workers.weights.opening import Weights, open_weights
from workers.weights.reading import LocalSource, Source


def candidate(source: Source, name: str, forebears: Sequence[Forebear] = ()) -> Candidate:
    """Everything that the small files and the headers tell of one model. Never raises for what a file holds."""
    found = inspect(source, name=name)
    adapter = found.adapter
    known = {each.name.lower() for each in forebears}
    if adapter is not None and adapter.base and adapter.base.lower() not in known:
        forebears = (Forebear(adapter.base, 1, "adapter"), *forebears)
    return Candidate(name, found, tuple(forebears))


def from_folder(path: str | Path, name: str = "", forebears: Sequence[Forebear] = ()) -> Candidate:
    """A model of this machine."""
    return candidate(LocalSource(path), name or str(path), forebears)


def weights_of(candidates: Sequence[Candidate], source_of: Callable[[str], Source]) -> dict[str, Weights]:
    """Open what can be compared number by number: whole models and adapters, no quantized ones."""
    found = {}
    for each in candidates:
        if each.comparable or (each.is_adapter and each.read):
            schema = each.inspection.schema
            found[each.name] = open_weights(source_of(each.name), schema=schema, adapter=each.inspection.adapter)
    return found


def weigh(
    candidates: Sequence[Candidate],
    source_of: Callable[[str], Source],
    *,
    base: str = "",
    below: Sequence[Candidate] = (),
    full: bool = False,
    budget: int = statistics.SAMPLE_BYTES,
    heartbeat: Callable[[float], None] = lambda share: None,
) -> Sampling | None:
    """Compare what can be compared; None where that is fewer than two models, or they have no tensor in common.

    ``below`` are the base and other candidates for it. Of those whose tensors have other shapes nothing can be told.
    """
    opened = weights_of(candidates, source_of)
    if len(opened) < 2:
        return None
    adapters = {each.name for each in candidates if each.is_adapter}
    if misfits(candidates, below, base):
        return None  # adapters of other sizes than their base's, or each other's: nothing can be added
    plain = [each for each in candidates if each.name in opened and each.name not in adapters]
    fitting = [each for each in below if each.comparable and (not plain or _fits(each, plain[0]))]
    if adapters and plain and base not in {each.name for each in (*fitting, *plain)}:
        return None  # an adapter beside a whole model can't be compared without its base
    grounds = weights_of(fitting, source_of)
    sampling = statistics.compare(
        opened, adapters=adapters, base=base, below=grounds, full=full, budget=budget, heartbeat=heartbeat
    )
    return sampling if sampling.pairs and sampling.numbers else None


def misfits(candidates: Sequence[Candidate], below: Sequence[Candidate], base: str) -> bool:
    """Whether adapters are among the models that don't fit their base, or each other."""
    anchor = next((each for each in (*below, *candidates) if each.name.lower() == base.lower()), None)
    return any(fault.code == "adapter.shape" for fault in adapter_rules.judge(candidates, anchor))


def _fits(one: Candidate, other: Candidate) -> bool:
    """Whether most tensors of the two have one name and shape."""
    mine = {(t.name, t.shape) for t in one.inspection.schema.tensors} if one.inspection.schema else set()
    theirs = {(t.name, t.shape) for t in other.inspection.schema.tensors} if other.inspection.schema else set()
    return len(mine & theirs) >= 0.5 * max(len(mine), len(theirs))


def judge_folders(
    folders: Mapping[str, str | Path],
    *,
    forebears: Mapping[str, Sequence[Forebear]] | None = None,
    others: Mapping[str, str | Path] | None = None,
    config: Checked | None = None,
    full: bool = False,
    read: bool = True,
    method: str = "",
    heartbeat: Callable[[float], None] = lambda share: None,
) -> Report:
    """Judge models of this machine: ``folders`` by name, ``others`` what may be their base (by name as well).

    Raises BadRequest (too few, too many), NoWeights for a folder that isn't there.
    """
    known = forebears or {}
    candidates = [from_folder(path, name, known.get(name, ())) for name, path in folders.items()]
    beside = {name: from_folder(path, name, known.get(name, ())) for name, path in (others or {}).items()}
    places: dict[str, str | Path] = {**(others or {}), **folders}
    base = verdicts.base_for(candidates, config)
    below = list(beside.values())
    sampling = None
    if read and len(candidates) > 1:
        try:
            sampling = weigh(
                candidates,
                lambda name: LocalSource(places[name]),
                base=base,
                below=below,
                full=full,
                heartbeat=heartbeat,
            )
        except RootstockError as error:
            raise type(error)(f"{error} (while the models' weights were compared)") from None
    anchor = next((c for c in (*below, *candidates) if c.name.lower() == base.lower()), None) if base else None
    return verdicts.judge(candidates, anchor=anchor, sampling=sampling, config=config, method=method)
