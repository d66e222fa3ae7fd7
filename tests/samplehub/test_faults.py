"""Faults: each kind does what it says, as often as it says, and to whom it says; without any, nothing is wrong."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError
from huggingface_hub.utils import get_session, hf_raise_for_status
from huggingface_hub.utils._pagination import paginate

import samplehub
from samplehub.catalogue import Catalogue, Repo
from samplehub.faults import KINDS, Fault, FaultError, Faults, parse
from samplehub.files import Blob, Commit, Snapshots, Tree
from samplehub.http11 import Request
from tests.samplehub.conftest import ask, follow

PAGE = "/api/models?sort=createdAt&limit=10&expand=tags&expand=downloads&expand=createdAt"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_statuses(changing: samplehub.Running, status: int) -> None:
    changing.faults(str(status))
    assert ask(changing, PAGE).status == status
    with pytest.raises(HfHubHTTPError) as error:
        HfApi(endpoint=changing.url, token=False).model_info("seedling")
    assert error.value.response.status_code == status


def test_429_with_a_reset_is_obeyed_by_the_client(changing: samplehub.Running) -> None:
    changing.faults({"kind": "429", "reset": 0, "times": 1})
    began = time.monotonic()
    assert len(list(HfApi(endpoint=changing.url, token=False).list_models(limit=5))) == 5
    assert 0.9 < time.monotonic() - began < 5  # the client waits for the reset and one second more
    assert changing.state()["counts"]["fault 429"] == 1


def test_hang_then_close(changing: samplehub.Running) -> None:
    changing.faults("hang;seconds=0.3")
    began = time.monotonic()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(changing, PAGE)
    assert time.monotonic() - began >= 0.3


def test_reset_in_the_middle(changing: samplehub.Running) -> None:
    changing.faults("reset;share=0.5")
    with pytest.raises(ConnectionResetError):
        ask(changing, PAGE)


def test_closed_before_the_end(changing: samplehub.Running) -> None:
    changing.faults("cut;share=0.5")
    with pytest.raises(http.client.IncompleteRead):
        ask(changing, PAGE)
    with pytest.raises(httpx2.RemoteProtocolError):
        HfApi(endpoint=changing.url, token=False).model_info("seedling")


@pytest.mark.parametrize("kind", ["truncate", "invalid_json"])
def test_what_is_no_json(changing: samplehub.Running, kind: str) -> None:
    changing.faults(kind)
    answer = ask(changing, PAGE)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_html_instead_of_json(changing: samplehub.Running) -> None:
    changing.faults("wrong_type")
    assert ask(changing, PAGE).headers["content-type"].startswith("text/html")


def test_a_link_to_another_host_is_noted_with_the_token_that_it_catches(changing: samplehub.Running) -> None:
    """What an unguarded client does: it follows, token and all. Ours must not, and this is how it shows."""
    changing.faults("foreign_link")
    link = ask(changing, PAGE).headers["link"]
    assert link.startswith(f"<{changing.state()['elsewhere']}/api/models?")
    assert not changing.state()["foreign"]
    headers = {"authorization": "Bearer sample-free"}
    assert len(list(paginate(f"{changing.url}/api/models", params={"limit": 10}, headers=headers))) == 10
    assert [visit["token"] for visit in changing.state()["foreign"]] == [True]
    assert changing.state()["counts"]["foreign requests"] == 1


def test_a_redirect_to_another_host(changing: samplehub.Running) -> None:
    changing.faults("foreign_redirect")
    answer = ask(changing, PAGE)
    assert answer.status == 302
    assert answer.headers["location"] == changing.state()["elsewhere"] + PAGE
    changing.faults({"kind": "foreign_redirect", "status": 307})
    assert ask(changing, PAGE).status == 307


def test_a_cursor_expires(changing: samplehub.Running) -> None:
    changing.faults("expired_cursor;after=1;times=1")
    first = ask(changing, PAGE)
    second = first.headers["link"][1:].split(">")[0].removeprefix(changing.url)
    assert ask(changing, second).status == 200
    with pytest.raises(BadRequestError, match="Invalid cursor"):
        hf_raise_for_status(get_session().get(changing.url + second))
    assert ask(changing, second).status == 200


def test_one_bad_row(changing: samplehub.Running) -> None:
    good = ask(changing, PAGE).json()
    changing.faults("bad_row;row=3")
    bad = ask(changing, PAGE).json()
    assert [row["id"] for row in bad] == [row["id"] for row in good]
    assert [n for n in range(10) if bad[n] != good[n]] == [3]
    assert bad[3]["tags"] == "not-a-list"


def test_pages_that_lead_a_crawl_astray(changing: samplehub.Running) -> None:
    good = ask(changing, PAGE)
    changing.faults("loop_link")
    looped = ask(changing, PAGE)
    assert looped.headers["link"] == f'<{changing.url}{PAGE}>; rel="next"'
    assert looped.body == good.body
    changing.faults("empty_page")
    empty = ask(changing, PAGE)
    assert (empty.json(), empty.headers["link"]) == ([], good.headers["link"])
    changing.faults("repeat_row")
    assert ask(changing, PAGE).json() == [*good.json(), good.json()[0]]


def test_rows_that_cost_much(changing: samplehub.Running) -> None:
    changing.faults({"kind": "huge_row", "bytes": 2_000_000})
    assert len(ask(changing, PAGE).json()[0]["cardData"]["text"]) == 2_000_000
    changing.faults("deep_row;depth=3000")
    with pytest.raises(RecursionError):
        ask(changing, PAGE).json()


def test_range_is_ignored(changing: samplehub.Running) -> None:
    stored = ask(changing, "/seedling/resolve/main/model.safetensors").headers["location"]
    changing.faults("ignore_range")
    answer = ask(changing, stored, range="bytes=0-7")
    assert (answer.status, len(answer.body)) == (200, int(answer.headers["content-length"]))
    assert len(answer.body) > 8


def test_late_and_slow(changing: samplehub.Running) -> None:
    size = len(ask(changing, PAGE).body)
    changing.faults("latency;seconds=0.2", {"kind": "bandwidth", "bytes_per_s": size / 0.3})
    began = time.monotonic()
    assert len(ask(changing, PAGE).body) == size
    assert 0.45 < time.monotonic() - began < 3


def test_a_slow_line_for_everything() -> None:
    with samplehub.serve(latency_ms=150) as hub:
        began = time.monotonic()
        ask(hub, PAGE)
        assert time.monotonic() - began >= 0.15
        hub.control("line", latency_ms=0, bandwidth=None)
        assert len(follow(hub, PAGE)) == 54


def test_faults_come_as_often_as_asked_and_the_same_for_one_seed() -> None:
    def drawn(seed: int) -> list[str]:
        faults = Faults(parse("500:0.2,latency:0.5,503:0.2"), seed)
        requests = [Request("GET", f"/api/models?n={n}", {}) for n in range(1000)]
        return ["+".join(fault.kind for fault in faults.draw(request)) for request in requests]

    first = drawn(1)
    assert first == drawn(1) != drawn(2)
    assert 150 < sum("500" in kinds for kinds in first) < 250
    assert not any("500" in kinds and "503" in kinds for kinds in first)
    assert any("+" in kinds for kinds in first)


def test_a_rule_may_be_for_one_path(changing: samplehub.Running) -> None:
    changing.faults("500;path=/api/models/seedling")
    assert ask(changing, "/api/models/seedling").status == 500
    assert ask(changing, "/api/models?limit=1").status == 200


@pytest.mark.parametrize("rule", ["fire", "500:2", "500:x", "429;seconds=1", "hang;seconds=soon", {"p": 1}, 7])
def test_a_rule_that_cannot_be_is_refused(rule: object) -> None:
    with pytest.raises(FaultError):
        Fault.read(rule)  # type: ignore[arg-type]


def test_every_kind_is_described() -> None:
    with open("docs/samplehub.md", encoding="utf-8") as file:
        text = file.read()
    for kind, (_, figures) in KINDS.items():
        assert f"`{kind}`" in text
        for figure in figures:
            assert f"`{figure}`" in text


def test_a_line_is_shared_by_all_connections() -> None:
    """Two files at once take as long as both one after the other; what is made when sent comes by range too."""
    make = bytes(range(256)).__mul__(2_000).__getitem__  # 512 kB
    blob = Blob.made(lambda start, stop: make(slice(start, stop)), 512_000, "0" * 64)
    repo = Repo({"id": "a/b"}, Snapshots([Commit("c" * 40, "first", "")], [Tree({"x.safetensors": blob})]))
    with samplehub.serve(catalogue=Catalogue(repos={"a/b": repo}), line=4_000_000.0) as hub:
        address = f"{hub.url}/a/b/resolve/main/x.safetensors"
        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            sizes = list(pool.map(lambda _: len(httpx2.get(address, follow_redirects=True).content), range(2)))
        assert sizes == [512_000, 512_000]
        assert time.monotonic() - began > 0.1  # alone each would take half of that
        part = httpx2.get(address, headers={"Range": "bytes=300-309"}, follow_redirects=True)
        assert (part.status_code, part.content) == (206, bytes(range(44, 54)))
