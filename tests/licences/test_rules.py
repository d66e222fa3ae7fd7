"""The table of licences: complete, dated, and right about what is commonly known."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlsplit

import pytest

from workers.licences.rules import TABLE, Verdict, begins_as_asked, identify, judge, lookup, parse, table

FINE, CONFLICT, OPEN = Verdict.FINE, Verdict.CONFLICT, Verdict.NOT_JUDGED

PAIRS = [  # of an ancestor, of its descendant
    ("apache-2.0", "apache-2.0", FINE),
    ("apache-2.0", "gpl-3.0", FINE),
    ("gpl-3.0", "apache-2.0", CONFLICT),
    ("mit", "llama3", FINE),
    ("mit", "", FINE),
    ("bsd-3-clause", "other", FINE),
    ("gpl-3.0", "gpl-3.0", FINE),
    ("gpl-3.0", "agpl-3.0", OPEN),
    ("gpl-3.0", "mit", CONFLICT),
    ("agpl-3.0", "gpl-3.0", OPEN),
    ("agpl-3.0", "apache-2.0", CONFLICT),
    ("lgpl-3.0", "gpl-3.0", FINE),
    ("mpl-2.0", "mit", CONFLICT),
    ("cc-by-4.0", "mit", FINE),
    ("cc0-1.0", "", FINE),
    ("cc-by-sa-4.0", "cc-by-sa-4.0", FINE),
    ("cc-by-sa-3.0", "cc-by-sa-4.0", FINE),
    ("cc-by-sa-4.0", "gpl-3.0", FINE),
    ("cc-by-sa-4.0", "apache-2.0", CONFLICT),
    ("cc-by-nc-4.0", "apache-2.0", CONFLICT),
    ("cc-by-nc-4.0", "cc-by-nc-sa-4.0", FINE),
    ("cc-by-nc-4.0", "", CONFLICT),
    ("cc-by-nc-sa-4.0", "cc-by-nc-4.0", CONFLICT),
    ("cc-by-nd-4.0", "cc-by-nd-4.0", CONFLICT),
    ("cc-by-nc-nd-4.0", "mit", CONFLICT),
    ("llama2", "llama2", FINE),
    ("llama2", "apache-2.0", CONFLICT),
    ("llama3", "apache-2.0", CONFLICT),
    ("llama3", "mit", CONFLICT),
    ("llama3", "", CONFLICT),
    ("llama3", "llama3", FINE),
    ("llama3", "llama3.1", OPEN),
    ("llama3.1", "llama3.1", FINE),
    ("llama3.2", "apache-2.0", CONFLICT),
    ("llama3.3", "other", OPEN),
    ("llama4", "gpl-3.0", CONFLICT),
    ("gemma", "gemma", FINE),
    ("gemma", "apache-2.0", CONFLICT),
    ("gemma", "other", OPEN),
    ("openrail", "apache-2.0", CONFLICT),
    ("creativeml-openrail-m", "creativeml-openrail-m", FINE),
    ("creativeml-openrail-m", "openrail++", OPEN),
    ("bigscience-bloom-rail-1.0", "mit", CONFLICT),
    ("bigcode-openrail-m", "", CONFLICT),
    ("other", "mit", OPEN),
    ("unknown", "unknown", OPEN),
    ("", "mit", OPEN),
    ("of-my-own", "mit", OPEN),
    ("llama3", "of-my-own", OPEN),
]


@pytest.mark.parametrize(("above", "below", "verdict"), PAIRS)
def test_pairs(above: str, below: str, verdict: Verdict) -> None:
    judged = judge(above, below)
    assert judged.verdict == verdict, judged.reason
    assert judged.reason


def test_every_row_says_where_it_was_read_and_when() -> None:
    for licence_id, row in table().licences.items():
        assert urlsplit(row.source).scheme == "https", licence_id
        assert date(2026, 1, 1) <= row.reviewed, licence_id
        assert row.name
        assert row.kind
        assert licence_id == licence_id.lower()


def test_every_pair_has_an_answer() -> None:
    ids = [*table().licences, "", "other", "unknown", "x"]
    for above in ids:
        for below in ids:
            assert judge(above, below).reason
        assert judge(above, above).verdict != CONFLICT or lookup(above).derivative == "forbidden"


def test_the_licences_that_models_carry_are_covered() -> None:
    known = (
        "apache-2.0 mit bsd-3-clause gpl-3.0 agpl-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-sa-4.0 llama2 llama3 llama3.1 "
    )
    known += "llama3.2 llama3.3 llama4 gemma openrail creativeml-openrail-m bigscience-openrail-m openrail++ "
    known += "bigscience-bloom-rail-1.0 bigcode-openrail-m cc-by-4.0 cc-by-nc-sa-4.0 cc-by-nc-nd-4.0 cc0-1.0 unlicense"
    assert set(known.split()) <= table().licences.keys()


def test_names_of_other() -> None:
    assert identify("other", "llama3") == "llama3"
    assert identify("other", "Llama 3.1") == "llama3.1"
    assert identify("other", "Apache-2.0 license") == "apache-2.0"
    assert identify("other", "tongyi-qianwen") == "other"
    assert identify("mit", "llama3") == "mit"
    assert identify("", "") == ""
    assert identify("Apache-2.0") == "apache-2.0"


@pytest.mark.parametrize(
    ("prefix", "name", "begins"),
    [
        ("Llama 3", "me/Llama-3-8B-chat", True),
        ("Llama 3", "me/llama3-tuned", True),
        ("Llama 3", "me/LLAMA_3_x", True),
        ("Llama 3", "me/Meta-Llama-3-8B", False),
        ("Llama 3", "llama-3/hermes", False),
        ("Llama", "me/Llama-3.1-8B", True),
        ("Llama", "me/Hermes-Llama", False),
    ],
)
def test_how_names_begin(prefix: str, name: str, begins: bool) -> None:
    assert begins_as_asked(prefix, name) is begins


def test_a_broken_table_is_refused() -> None:
    import tomllib

    data = tomllib.loads(TABLE.read_text())
    data["licence"][0]["duties"] = ["dance"]
    with pytest.raises(ValueError, match="dance"):
        parse(data)
    data = tomllib.loads(TABLE.read_text())
    data["licence"].append(data["licence"][0])
    with pytest.raises(ValueError, match="two rows"):
        parse(data)
