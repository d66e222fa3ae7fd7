"""The listing: every model once, in order, with the fields that were asked for."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from huggingface_hub import HfApi
from hypothesis import given, settings
from hypothesis import strategies as st

import samplehub
from samplehub.listing import page
from samplehub.query import EXPANDABLE, QueryError, parse, read_cursor, write_cursor
from samplehub.shape import SORTS
from tests.samplehub.conftest import ask, follow


def test_lists_what_is_public_to_the_real_client(api: HfApi) -> None:
    models = list(api.list_models(sort="created_at", expand=["createdAt", "private", "baseModels", "gated"]))
    ids = [model.id for model in models]
    assert len(ids) == len(set(ids)) == 54
    assert "seedling" in ids
    assert "moss-lab/internal-draft" not in ids  # private
    dates = [model.created_at for model in models]
    assert dates == sorted(dates, reverse=True)
    by_id = {model.id: model for model in models}
    assert by_id["tidepool-works/Tern-37K-Plus"].gated == "manual"
    assert by_id["graft-bench/Sprout-Trio"].base_models["relation"] == "merge"


def test_shows_private_models_to_their_owner(hub: samplehub.Running) -> None:
    models = HfApi(endpoint=hub.url, token="sample-owner").list_models(author="moss-lab")
    assert "moss-lab/internal-draft" in [model.id for model in models]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 7, 54, 1000])
def test_pages_hold_each_model_once_in_falling_order(hub: samplehub.Running, sort: str, limit: int) -> None:
    rows = follow(hub, f"/api/models?sort={sort}&limit={limit}&expand={sort}")
    assert len({row["id"] for row in rows}) == len(rows) == 54
    keys = [row[sort] for row in rows]
    assert keys == sorted(keys, reverse=True)


def test_equal_dates_are_told_apart_by_id(hub: samplehub.Running) -> None:
    rows = follow(hub, "/api/models?sort=createdAt&limit=1&expand=createdAt")
    oldest = [row for row in rows if row["createdAt"] == "2022-03-02T23:29:04.000Z"]
    assert [row["_id"] for row in oldest] == sorted(row["_id"] for row in oldest)
    assert len(oldest) == 2


def test_expand_gives_those_fields_alone_in_both_spellings(hub: samplehub.Running) -> None:
    plain = ask(hub, "/api/models?expand=likes&expand=tags&limit=3").json()
    bracketed = ask(hub, "/api/models?expand[]=likes&expand%5B%5D=tags&limit=3").json()
    assert plain == bracketed
    assert all(row.keys() == {"_id", "id", "likes", "tags"} for row in plain)


@pytest.mark.parametrize("field", EXPANDABLE)
def test_every_field_of_the_client_can_be_asked_for(hub: samplehub.Running, field: str) -> None:
    rows = ask(hub, f"/api/models?expand={field}").json()
    assert all(row.keys() <= {"_id", "id", field} for row in rows)


def test_usual_full_and_card_fields(hub: samplehub.Running) -> None:
    usual = ask(hub, "/api/models?sort=likes&limit=1").json()[0]
    assert set(usual) >= {"_id", "id", "modelId", "likes", "downloads", "tags", "createdAt", "private", "library_name"}
    assert "author" not in usual
    full = ask(hub, "/api/models?sort=likes&limit=1&full=True&cardData=true&config=1").json()[0]
    assert set(full) >= {"author", "sha", "siblings", "lastModified", "gated", "cardData", "config"}
    assert {"rfilename": "model.safetensors"} in full["siblings"]


def test_no_empty_field_is_sent(hub: samplehub.Running) -> None:
    rows = {row["id"]: row for row in ask(hub, "/api/models?expand=cardData&expand=gguf&expand=baseModels").json()}
    assert rows["fern-collective/sprout-copy"].keys() == {"_id", "id"}  # no card, no parent that the hub knows
    assert rows["sample-quants/Sprout-Verse-Nacht-GGUF"]["gguf"]["architecture"] == "llama"


@pytest.mark.parametrize(
    ("query", "some", "none"),
    [
        ("filter=gguf", "sample-quants/Sprout-Verse-Nacht-GGUF", "seedling"),
        ("filter=base_model:sample-garden/Sprout-37K", "sample-garden/Sprout-37K-Instruct", "seedling"),
        (
            "filter=base_model:adapter:sample-garden/petal-vit",
            "moss-lab/petal-vit-dotted-lora",
            "sample-garden/petal-vit",
        ),
        ("filter=license:llama3&filter=text-generation", "tidepool-works/Tern-37K", "sample-garden/Sprout-37K"),
        ("filter=license:llama3,text-generation", "tidepool-works/Tern-37K", "sample-garden/Sprout-37K"),
        ("license=llama3", "tidepool-works/Tern-37K", "sample-garden/Sprout-37K"),
        ("dataset=sample-garden/small-sums", "moss-lab/tern-sums-lora", "seedling"),
        ("filter=de", "fern-collective/Sprout-Verse-Nacht", "seedling"),
        ("library=peft", "moss-lab/sprout-recipes-lora", "sample-garden/Sprout-37K"),
        ("pipeline_tag=image-classification", "seedling", "sample-garden/Sprout-37K"),
        ("author=moss-lab", "moss-lab/Sprout-Verse", "seedling"),
        ("search=PETAL lora", "moss-lab/petal-vit-dotted-lora", "sample-garden/petal-vit"),
        ("gated=True", "tidepool-works/Tern-37K-Plus", "seedling"),
        ("num_parameters=min:10K,max:30K", "sample-garden/petal-vit", "sample-garden/Sprout-37K"),
        ("sort=likes&author=sample-garden&search=sprout", "sample-garden/Sprout-37K", "sample-garden/petal-vit"),
    ],
)
def test_filters(hub: samplehub.Running, query: str, some: str, none: str) -> None:
    target = "/api/models?" + quote(query, safe="=&:,/")
    ids = [row["id"] for row in ask(hub, target).json()]
    assert some in ids
    assert none not in ids
    assert ids == [row["id"] for row in follow(hub, f"{target}&limit=1")]  # narrow pages, same rows, same order


def test_the_clients_own_filters(api: HfApi) -> None:
    assert {m.id for m in api.list_models(trained_dataset="sample-garden/mixed")} == {
        "sample-garden/Sprout-37K",
        "tidepool-works/Tern-37K",
    }
    assert [m.id for m in api.list_models(sort="downloads", limit=1)] == ["sample-garden/Sprout-37K"]
    assert [m.id for m in api.list_models(num_parameters="min:1B")] == []


def test_counts_children_by_relation(hub: samplehub.Running) -> None:
    rows = {row["id"]: row for row in ask(hub, "/api/models?expand=childrenModelCount").json()}
    count = rows["sample-garden/Sprout-37K-Instruct"]["childrenModelCount"]
    assert count == {"adapter": 1, "finetune": 3, "merge": 1, "quantized": 1}


@pytest.mark.parametrize(
    "query",
    [
        "sort=name", "direction=1", "limit=0", "limit=ten", "limit=²", "expand=passwords", "expand=tags&full=True",
        "cursor=!!", "cursor=e30=", "cursor=" + base64.b64encode(b'{"$where":"sleep(1)"}').decode(),
        "num_parameters=many", "sort=likes&cursor=" + write_cursor("2024-01-01", "00", "createdAt"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_400_with_a_reason(hub: samplehub.Running, query: str) -> None:
    answer = ask(hub, "/api/models?" + quote(query, safe="=&"))
    assert answer.status == 400
    assert answer.json()["error"] == answer.headers["x-error-message"]


def test_a_cursor_looks_like_the_hubs_own() -> None:
    cursor = write_cursor("2024-05-14T09:09:09.000Z", "66432b95", "createdAt")
    condition = json.loads(base64.b64decode(cursor))
    assert condition == {
        "$or": [
            {"createdAt": "2024-05-14T09:09:09.000Z", "_id": {"$gt": "66432b95"}},
            {"createdAt": {"$lt": "2024-05-14T09:09:09.000Z"}},
            {"createdAt": None},
        ]
    }
    assert read_cursor(cursor, "createdAt")[1] == "66432b95"


def test_links_name_the_hub_as_the_caller_does(hub: samplehub.Running) -> None:
    port = hub.url.rpartition(":")[2]
    for host, origin in (
        (f"localhost:{port}", f"http://localhost:{port}"),
        (f"127.0.0.1:{port}", hub.url),
        ("elsewhere.example:80", hub.url),
        (f'x>; rel="next", <http://evil:{port}', hub.url),
    ):
        assert ask(hub, "/api/models?limit=1", host=host).headers["link"].startswith(f"<{origin}/api/models?limit=1&")


def test_repos_added_meanwhile_do_not_shift_a_listing_by_creation(changing: samplehub.Running) -> None:
    """New repos are younger than the cursor; a deletion takes away itself alone, even that of the cursor's own row."""
    first = ask(changing, "/api/models?sort=createdAt&limit=20")
    changing.change("add", "moss-lab/newcomer")
    changing.change("delete", first.json()[-1]["id"])  # the very row that the cursor was made from
    rest = follow(changing, first.headers["link"][1:].split(">")[0].removeprefix(changing.url))
    ids = [row["id"] for row in first.json() + rest]
    assert len(ids) == len(set(ids)) == 54
    assert "moss-lab/newcomer" not in ids


dirty_dates = st.one_of(
    st.sampled_from(["2022-03-02T23:29:04.000Z", "2024-01-01T00:00:00.000Z", "2024-01-01T00:00:00Z"]),
    st.none(),
    st.text(max_size=5),
    st.integers(),
)
dirty_counts = st.one_of(
    st.integers(-3, 3), st.none(), st.floats(allow_nan=True), st.text(max_size=3), st.just(10**400)
)


@given(
    rows=st.lists(st.tuples(dirty_dates, dirty_counts), max_size=25),
    sort=st.sampled_from(["createdAt", "likes"]),
    limit=st.integers(1, 6),
)
@settings(max_examples=150, deadline=None)
def test_paging_loses_and_repeats_no_row_however_dirty(rows: list[Any], sort: str, limit: int) -> None:
    catalogue = samplehub.Catalogue.of_rows(
        {"_id": f"{n:024x}", "id": f"a/{n}", "createdAt": date, "likes": likes} for n, (date, likes) in enumerate(rows)
    )
    asked = {"sort": [sort], "limit": [str(limit)]}
    ids: list[str] = []
    while True:
        found, cursor = page(catalogue, parse(asked))
        ids += [row["id"] for row in found]
        if cursor is None:
            break
        assert len(found) == limit
        asked["cursor"] = [cursor]
    assert sorted(ids) == sorted(f"a/{n}" for n in range(len(rows)))


@given(st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()) | st.text(max_size=60))
def test_any_text_as_a_cursor_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(QueryError):
        read_cursor(text, "likes")
