"""A judgement as plain JSON: what the command prints and the API's answers are made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hubapp.merging.obligations import MergeObligations, Source
from hubapp.merging.queries import Judged
from workers.merging import rules
from workers.merging.records import Report, Sampling


def as_json(answer: Judged | Report) -> dict[str, Any]:
    """Everything that is said of a merge."""
    if isinstance(answer, Report):
        return _report(answer)
    return {
        **_report(answer.report),
        "unread": list(answer.unread),
        "compared_at": answer.compared_at.isoformat() if answer.compared_at else None,
        "stale": answer.stale,
        "revisions": dict(answer.revisions),
        "licences": licences(answer.obligations),
    }


def _report(report: Report) -> dict[str, Any]:
    return {
        "models": list(report.models),
        "base": report.base,
        "verdict": report.verdict.value,
        "headline": report.headline,
        "ancestor": {
            "name": report.ancestor.name,
            "by": report.ancestor.how,
            "sentence": report.ancestor.sentence,
            "steps": dict(report.ancestor.distances),
        },
        "faults": [
            {
                "code": fault.code,
                "title": rules.title(fault.code),
                "level": fault.level.value,
                "cause": fault.cause,
                "compared": [{"what": what, "value": value} for what, value in fault.compared],
                "mend": fault.mend,
                "models": list(fault.models),
                "by_recipe": fault.by_recipe,
                "mergekit": fault.mergekit,
            }
            for fault in report.faults
        ],
        "weights": sampled(report.sampling),
        "recipe": {
            "method": report.recipe.method,
            "yaml": report.recipe.yaml,
            "reasons": list(report.recipe.reasons),
            "methods": [
                {"name": each.name, "fits": each.fits, "reasons": list(each.reasons)} for each in report.recipe.methods
            ],
        }
        if report.recipe is not None
        else None,
        "instead": list(report.instead),
    }


def sampled(sampling: Sampling | None) -> dict[str, Any] | None:
    """What comparing the weights told."""
    if sampling is None:
        return None
    return {
        "base": sampling.base,
        "share": sampling.share,
        "numbers": sampling.numbers,
        "bytes_read": sampling.bytes_read,
        "full": sampling.full,
        "pairs": [asdict(pair) for pair in sampling.pairs],
        "changes": dict(sampling.changes),
        "cells": [asdict(cell) for cell in sampling.cells],
    }


def licences(found: MergeObligations) -> dict[str, Any]:
    """The obligations of a merge."""
    return {
        "fits": list(found.fits),
        "clashes": [
            {"licence": each.licence, "sentence": each.sentence, "chain": list(each.source.chain)}
            for each in found.clashes
        ],
        "conflicts": [
            {"model": model, "sentence": each.sentence, "chain": list(each.chain)} for model, each in found.conflicts
        ],
        "duties": [{"code": d.code, "text": d.text, "because": list(d.because)} for d in found.duties],
        "limits": [{"code": d.code, "text": d.text, "because": list(d.because)} for d in found.limits],
        "conditions": [{"text": text, "model": model} for text, model in found.conditions],
        "unclear": [_source(each) for each in found.unclear],
        "sources": [_source(each) for each in found.sources],
        "disclaimer": found.disclaimer,
    }


def _source(each: Source) -> dict[str, Any]:
    return {"model": each.model, "licence": each.licence.label if each.licence.id else "", "chain": list(each.chain)}
