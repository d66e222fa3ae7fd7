"""What the weights say of edges, in words: for pages, API and terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from django.db.models import Count

from hubapp.catalog.models import Repo
from hubapp.lineage.models import Verdict
from hubapp.lineage.shapes import Weighed

WORDS = {"confirmed": "Confirmed", "contradicted": "Contradicted", "cannot_tell": "Cannot tell"}
KINSHIPS = {
    "same_weights": "the same weights",
    "quantized": "a quantized copy",
    "adapter": "an adapter made on it",
    "finetune": "trained on from it",
    "merge": "mixed from it and others",
    "unrelated": "no relative",
}
_REASONS = {
    "related": "Row by row its matrices lie along the parent's: similarity {similarity}, where strangers lie near 0.",
    "circle": "They are relatives (similarity {similarity}), each said to descend from the other: no order shows.",
    "other_layers": "Its layers are layers of the parent, some of them left out or moved (similarity {other_layers}).",
    "unrelated": "Row by row its matrices are no nearer to the parent's than a stranger's (similarity {similarity}).",
    "part_related": "One part of it lies along the parent's, another does not (similarity {similarity} in all).",
    "between": "Its matrices lie between those of relatives and of strangers (similarity {similarity}).",
    "rearranged": "Row by row it is like a stranger, but the same numbers are there in another order.",
    "nothing_in_common": "The two have no matrix of the same name and width.",
    "too_little": "The two have too few numbers in common to tell.",
    "branched_before": "They are relatives, but it lacks what sets the parent apart from an earlier model "
    "(it holds {hold} of that, a child would hold 1).",
    "by_way_of": "It descends from the parent; another of its descendants stands between the two, or beside it.",
    "other_nearer": "They are relatives, but a model of another line stands nearer.",
    "in_hull": "It is a mixture in which the parent has the weight {weight} (what is left over: {left_over}).",
    "base_of_mix": "It is a mixture of models that were all made from the parent (whose own weight is {weight}).",
    "not_in_hull": "It is a mixture of the others; the parent has no weight in it ({weight}).",
    "weight_unclear": "The parent's weight in the mixture can't be told from none ({weight} ± {weight_error}).",
    "one_parent_of_many": "They are relatives; a mixture can't be judged while only one of its parents can be read.",
    "fits": "Its updates lean towards the parent's own directions by {fit} standard deviations; strangers' by about 0.",
    "fits_unnamed": "Its updates fit this model by {fit} standard deviations, as they would any relative of its base.",
    "fit_unclear": "Its updates do not lean clearly towards the parent's own directions ({fit} standard deviations).",
    "other_base_fits": "Its updates fit another model better ({fit_of_likelier} standard deviations against {fit}).",
    "adapter_shapes": "Its updates do not have the shapes of the parent's layers: it can't be put on it.",
    "targets_not_found": "The layers that it changes are not found in the parent by name.",
}
_TELLING = {"related": "similarity", "unrelated": "similarity", "part_related": "similarity", "between": "similarity"}
_TELLING |= dict.fromkeys(("in_hull", "base_of_mix", "not_in_hull", "weight_unclear"), "weight")
_TELLING |= dict.fromkeys(("branched_before", "by_way_of"), "hold")
_TELLING |= dict.fromkeys(("fits", "fits_unnamed", "fit_unclear", "other_base_fits"), "fit")
_TELLING |= {"other_layers": "other_layers"}


class _Figures(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def sentence(reason: str, figures: Mapping[str, float]) -> str:
    """Why the verdict is what it is."""
    text = _REASONS.get(reason, reason.replace("_", " "))
    said = text.format_map(_Figures({key: spelt(value) for key, value in figures.items()}))
    nearer = "nearer" in figures and reason in ("related", "in_hull")
    return f"{said} Another model stands nearer still." if nearer else said


def telling(reason: str, figures: Mapping[str, float]) -> str:
    """The one figure that tells most, as it stands in a chip; "" where there is none."""
    name = _TELLING.get(reason, "similarity")
    if name not in figures:
        return ""
    return f"{figures[name]:.1f} sd" if name == "fit" else spelt(figures[name])


def spelt(value: float) -> str:
    """``0.99712`` → ``.997``; ``12.34`` → ``12.3``."""
    text = f"{value:.1f}" if abs(value) >= 2 else f"{value:.3f}"
    if text in ("-0.000", "0.000"):
        return "0"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def weighed(child_ids: Collection[int]) -> dict[tuple[int, int], Weighed]:
    """What the weights say of all edges to these models, by (parent, child)."""
    rows = Verdict.objects.filter(child_id__in=child_ids).select_related("likelier")
    found = list(rows)
    present = _revisions({key for row in found for key in (row.child_id, row.parent_id)})
    return {(row.parent_id, row.child_id): _shape(row, present) for row in found}


def _shape(row: Verdict, present: Mapping[int, str]) -> Weighed:
    fresh = all(
        not present.get(key) or present[key] == revision
        for key, revision in ((row.child_id, row.child_revision), (row.parent_id, row.parent_revision))
    )
    return Weighed(
        parent_id=row.parent_id,
        child_id=row.child_id,
        verdict=row.verdict,
        kinship=row.kinship,
        reason=row.reason,
        sentence=sentence(row.reason, row.figures),
        figure=telling(row.reason, row.figures),
        figures=row.figures,
        layers=tuple((str(label), float(similarity), float(change)) for label, similarity, change in row.layers),
        likelier=row.likelier.name if row.likelier else "",
        bytes_read=row.bytes_read,
        parent_bytes=row.parent_bytes,
        version=row.version,
        judged_at=row.judged_at,
        fresh=fresh,
    )


def glances(child_ids: Collection[int]) -> dict[tuple[int, int], tuple[str, str, str]]:
    """(verdict, telling figure, likelier parent) of all edges to these models, by (parent, child): for pictures."""
    rows = Verdict.objects.filter(child_id__in=child_ids).values_list(
        "parent_id", "child_id", "verdict", "reason", "figures", "likelier__name"
    )
    return {(p, c): (verdict, telling(reason, figures), name or "") for p, c, verdict, reason, figures, name in rows}


def _revisions(ids: Iterable[int]) -> dict[int, str]:
    return dict(Repo.objects.filter(pk__in=set(ids)).values_list("pk", "sha"))


def counts(root_id: int) -> dict[str, int]:
    """How many edges of a family's members each verdict was given."""
    rows = Verdict.objects.filter(child__node__root_id=root_id).values("verdict").annotate(number=Count("pk"))
    return dict(rows.values_list("verdict", "number"))
