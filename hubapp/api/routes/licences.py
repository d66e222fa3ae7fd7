"""Licences along a model's descent."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from hubapp.api import answers, schemas
from hubapp.api.routes import UNKNOWN
from hubapp.licences import queries as licences
from hubapp.licences.shapes import Ancestor, Duty

router = Router(tags=["licences"])


@router.get("/{path:name}", response={200: schemas.Obligations, **UNKNOWN}, summary="Obligations and conflicts")
def obligations(request: HttpRequest, name: str) -> schemas.Obligations:
    repo = answers.found(name).repo
    found = licences.along(repo)
    line = [_verdict(each) for each in found.line]
    return schemas.Obligations(
        name=repo.name,
        licence=found.declared.label if found.declared.id else "",
        conflicts=[each for each in line if each.verdict == "conflict"],
        line=line,
        duties=[_duty(each) for each in found.duties],
        limits=[_duty(each) for each in found.limits],
        conditions=[
            schemas.Condition(text=each.text, met=each.met, ancestor=each.ancestor) for each in found.conditions
        ],
        truncated=found.truncated,
        disclaimer=found.disclaimer,
    )


def _verdict(each: Ancestor) -> schemas.LicenceVerdict:
    return schemas.LicenceVerdict(
        ancestor=each.repo.name,
        licence=each.licence.label if each.licence.id else "",
        verdict=each.verdict,
        sentence=each.sentence,
        chain=list(each.chain),
    )


def _duty(each: Duty) -> schemas.Duty:
    return schemas.Duty(code=each.code, text=each.text, because=list(each.because))
