"""Licences along real kinds of descent: conflicts name the ancestor that causes them, and the chain."""

from __future__ import annotations

import pytest

from hubapp.licences import queries
from tests.factories import row
from tests.lineage.trees import grow, repo

pytestmark = pytest.mark.django_db


def model(name: str, *bases: str, licence: str = "", relation: str = "finetune", **card: str) -> dict:
    return row(name, *bases, relation=relation, card={"license": licence, **card} if licence else card)


def test_llama_turned_apache_two_steps_below() -> None:
    grow(
        [
            model("meta-llama/Meta-Llama-3-8B", licence="llama3"),
            model("hermes/Tune", "meta-llama/Meta-Llama-3-8B", licence="llama3"),
            model("me/Free", "hermes/Tune", licence="apache-2.0"),
        ]
    )
    found = queries.along(repo("me/Free"))
    (conflict,) = found.conflicts
    assert conflict.ancestor.name == "meta-llama/Meta-Llama-3-8B", "where the licence comes from, not who passed it on"
    assert conflict.chain == ("meta-llama/Meta-Llama-3-8B", "hermes/Tune", "me/Free")
    assert conflict.others == ("hermes/Tune",)
    assert conflict.sentence == (
        "me/Free declares apache-2.0, but its ancestor meta-llama/Meta-Llama-3-8B is llama3: "
        "llama3 has to be passed on with every derivative."
    )
    assert {(c.text, c.met) for c in found.conditions} == {
        ("The name has to begin with “Llama 3”.", False),
        ("“Built with Meta Llama 3” has to be stated where the model is published.", None),
    }
    assert {"pass-agreement", "keep-notice", "state-changes"} <= {d.code for d in found.duties}
    assert "no-other-llm" in {d.code for d in found.limits}
    assert "no legal advice" in found.disclaimer


def test_llama_kept_and_named_as_asked() -> None:
    grow(
        [
            model("meta-llama/Llama-3.1-8B", licence="llama3.1"),
            model("me/Llama-3.1-x", "meta-llama/Llama-3.1-8B", licence="llama3.1"),
        ]
    )
    found = queries.along(repo("me/Llama-3.1-x"))
    assert found.conflicts == ()
    assert [c.met for c in found.conditions] == [True, None]
    assert "no-other-llm" not in {d.code for d in found.limits}, "the ban on other models is gone since 3.1"


def test_an_apache_chain_has_no_conflict_but_duties() -> None:
    grow([model("Qwen/Base", licence="apache-2.0"), model("me/x", "Qwen/Base", licence="mit")])
    found = queries.along(repo("me/x"))
    assert found.conflicts == found.conditions == found.unjudged == ()
    assert [a.verdict for a in found.line] == ["fine"]
    assert {d.code for d in found.duties} == {"keep-notice", "include-licence", "state-changes"}
    keep = next(d for d in found.duties if d.code == "keep-notice")
    assert keep.because == ("me/x", "Qwen/Base")


def test_a_merge_inherits_from_all_its_parents() -> None:
    grow(
        [
            model("a/free", licence="apache-2.0"),
            model("b/noncommercial", licence="cc-by-nc-4.0"),
            model("c/gemma", licence="gemma"),
            model("me/merge", "a/free", "b/noncommercial", "c/gemma", licence="apache-2.0", relation="merge"),
        ]
    )
    found = queries.along(repo("me/merge"))
    assert {c.licence.id for c in found.conflicts} == {"cc-by-nc-4.0", "gemma"}
    assert {d.code for d in found.limits} == {"non-commercial", "use-restrictions"}


def test_gpl_rail_and_no_derivatives() -> None:
    grow(
        [
            model("a/gpl", licence="gpl-3.0"),
            model("a/rail", licence="creativeml-openrail-m"),
            model("a/nd", licence="cc-by-nc-nd-4.0"),
            model("me/from-gpl", "a/gpl", licence="mit"),
            model("me/from-rail", "a/rail", licence="creativeml-openrail-m"),
            model("me/from-nd", "a/nd", licence="cc-by-nc-nd-4.0"),
        ]
    )
    assert [c.licence.id for c in queries.along(repo("me/from-gpl")).conflicts] == ["gpl-3.0"]
    assert queries.along(repo("me/from-rail")).conflicts == ()
    (conflict,) = queries.along(repo("me/from-nd")).conflicts
    assert "lets nobody distribute derivatives" in conflict.sentence


def test_what_can_not_be_judged_is_said_so() -> None:
    grow(
        [
            model("Qwen/own", licence="other", license_name="tongyi-qianwen"),
            model("a/none"),
            model("me/x", "Qwen/own", "a/none", licence="mit", relation="merge"),
            model("me/y", licence="mit") | {"cardData": {"license": "mit", "base_model": "lost/parent"}},
        ]
    )
    found = queries.along(repo("me/x"))
    assert {(a.repo.name, a.verdict) for a in found.unjudged} == {("Qwen/own", "not judged"), ("a/none", "not judged")}
    sentences = " ".join(a.sentence for a in found.unjudged)
    assert "“other” names no text: its file has to be read" in sentences
    assert "tongyi-qianwen" in sentences
    assert found.conflicts == ()
    (unknown,) = queries.along(repo("me/y")).unjudged
    assert "only a name so far" in unknown.sentence


def test_a_licence_spelt_by_name() -> None:
    grow([model("meta/x", licence="other", license_name="llama3"), model("me/x", "meta/x", licence="apache-2.0")])
    (conflict,) = queries.along(repo("me/x")).conflicts
    assert conflict.licence.id == "llama3"


def test_a_missing_licence_under_an_agreement() -> None:
    grow([model("meta-llama/Llama-2-7b", licence="llama2"), model("me/x", "meta-llama/Llama-2-7b")])
    found = queries.along(repo("me/x"))
    assert found.missing
    assert "it declares none, and llama2 has to be passed on" in found.conflicts[0].sentence


def test_alone_and_in_a_cycle() -> None:
    grow(
        [
            model("me/alone", licence="mit"),
            row("a/one", "a/two", card={"license": "mit"}),
            row("a/two", "a/one", card={"license": "gpl-3.0"}),
        ]
    )
    assert queries.along(repo("me/alone")).line == ()
    assert [c.ancestor.name for c in queries.along(repo("a/one")).conflicts] == ["a/two"]
