"""Search by meaning, from stored cards to the page: the job, the process's answers, filters, fallbacks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from django.db import connections
from django.test import Client
from django.utils.module_loading import import_string

from hubapp.catalog.models import Repo
from hubapp.jobs.models import JobState
from hubapp.jobs.services import enqueue
from hubapp.searching import asking, meaning, meanings
from hubapp.searching.models import Lexicon, Meaning
from hubapp.searching.query import Query
from tests.searching import library
from tests.support.needs import require
from tests.support.servers import wait_until
from workers.crawling.records import RepoFacts
from workers.errors import EncoderMissing
from workers.searching import encoding, lexical, serving
from workers.searching.answering import Library
from workers.searching.records import Answer, Found, Question, Reason, Why
from workers.steps.meanings import Feed, text_encoder

CARDS = {
    "ann/x1": "A LoRA that writes recipes: soups, bread, what to cook tonight.",
    "ann/x2": "Translates legal contracts from German into English.",
    "bob/x3": "Detects spam in the comments below videos.",
    "bob/french-poems": "",
    "bob/x5": "",
}


def stock() -> None:
    """Five models: three with cards, one with a telling name, one that says nothing."""
    library.crawl(
        [
            RepoFacts(
                name, f"{number:024x}", author=name[:3], downloads=50 - number, licence="mit" if number % 2 else "gpl"
            )
            for number, name in enumerate(CARDS)
        ]
    )
    for name, text in CARDS.items():
        Repo.objects.filter(name=name).update(card_excerpt=text, card_length=len(text))


def read() -> int:
    """Run the job here; how many texts it read anew."""
    job = import_string("workers.tasks.run_here")(enqueue(kind="meanings", params={}).pk)
    assert job.state == JobState.DONE, job.error
    return int(job.cursor["done"])


@pytest.fixture
def as_lexical(settings: object) -> None:
    """No encoder but words and letters: quick, and there on every machine."""
    settings.TEXT_ENCODER = encoding.LEXICAL  # type: ignore[attr-defined]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's answers without the process: the same code over the same database."""
    feed = Feed()
    held: dict[str, Library] = {}

    def found() -> Library:
        held["it"] = feed.refresh(held["it"] if "it" in held else feed.load())
        return held["it"]

    def ask(question: Question) -> Answer:
        limits = meanings.allowed(question.filters)
        return found().answer(question, None if limits is None else np.sort(np.asarray(limits, dtype=np.int64)))

    monkeypatch.setattr(asking, "ask", ask)
    monkeypatch.setattr(asking, "alike", lambda repo_id, limit: found().alike(repo_id, limit))


def names(text: str, **filters: object) -> list[str]:
    return [hit.name for hit in meaning.search(Query(text=text, by="meaning", **filters)).hits]  # type: ignore[arg-type]


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
@pytest.mark.usefixtures("as_lexical", "here")
def test_from_cards_to_results_without_an_encoder() -> None:
    """Words and letters stand in; what is read once is not read again; what changes is."""
    stock()
    with pytest.raises(EncoderMissing):
        text_encoder()
    assert read() == len(CARDS)
    assert Lexicon.objects.get().texts == len(CARDS)
    assert read() == 0
    assert names("something that cooks bread and soup")[0] == "ann/x1"
    assert names("detecting spam comments")[0] == "bob/x3"
    assert names("poems in french")[0] == "bob/french-poems"
    Repo.objects.filter(name="bob/x5").update(card_excerpt="Bread recipes, and soup to cook with bread.")
    assert read() == 1
    assert "bob/x5" in names("something that cooks bread and soup")


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
@pytest.mark.usefixtures("as_lexical", "here")
def test_filters_are_conditions_and_the_hidden_stay_hidden() -> None:
    stock()
    read()
    assert "ann/x1" in names("cook bread soup recipes")
    assert "ann/x1" not in names("cook bread soup recipes", licence="mit")
    assert names("cook bread soup recipes", author="bob", licence="never-heard-of") == []
    from hubapp.searching import services

    services.remove(repo_ids=[Repo.objects.get(name="ann/x1").pk])
    assert "ann/x1" not in names("cook bread soup recipes")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("here")
def test_paraphrases_are_found_by_the_encoder() -> None:
    """Not one word of the question is in the card."""
    require("minilm")
    stock()
    read()
    found = meaning.search(Query(text="help in the kitchen: what shall we eat", by="meaning"))
    assert found.hits[0].name == "ann/x1"
    assert found.reasons[found.hits[0].repo_id][0].why == Why.CARD
    assert names("lawyers' agreements")[0] == "ann/x2"
    alike = meaning.alike(Repo.objects.get(name="ann/x1").pk)
    assert "ann/x1" not in [hit.name for hit in alike.hits]
    assert Meaning.objects.get(repo__name="bob/x5").card.__len__() == 0


@pytest.mark.django_db
def test_without_the_process_names_and_cards_are_searched_and_it_is_said(client: Client) -> None:
    stock()
    html = client.get("/search?q=models that write recipes").content.decode()
    assert "Search by meaning is not running" in html
    assert "/models/ann/x1" in html
    assert "from its card" in html
    assert "/models/bob/x3" not in html
    answer = client.get("/api/v1/search/meaning?text=models that write recipes&licence=mit").json()
    assert answer["state"] == "down"
    assert answer["hits"] == []  # ann/x1 is under another licence


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("models trained on red circles", True),
        ("recipes", True),  # one word that is in no name
        ("french poems", True),
        ("x1", False),
        ("ann/x1", False),
        ("Llama-3.1 8B", False),
    ],
)
def test_descriptions_and_names_are_told_apart(text: str, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stock()
    asked = []

    def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer(found=())

    monkeypatch.setattr(asking, "ask", ask)
    Client().get("/search", {"q": text})
    assert bool(asked) is meant
    Client().get("/search", {"q": text, "by": "names"})
    assert len(asked) == int(meant)


@pytest.mark.django_db
def test_pages_of_results_follow_one_another_and_reasons_are_shown(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.crawl(library.facts(60))
    ids = list(Repo.objects.order_by("pk").values_list("pk", flat=True))
    evil = Reason(Why.WEIGHTS, 0.83, "striped <script>alert(1)</script> circle")
    answer = Answer(found=tuple(Found(one, 0.9, (evil, Reason(Why.CARD, 0.4))) for one in ids), weights=7, cards=9)
    monkeypatch.setattr(asking, "ask", lambda question: answer)
    html = client.get("/search?q=striped round red things").content.decode()
    assert "from its weights" in html
    assert "83%" in html
    assert "<script>alert" not in html
    seen = html.count('<li class="hit">')
    while 'rel="next"' in html:
        html = client.get(html.split('rel="next" hx-get="')[1].split('"')[0].replace("&amp;", "&")).content.decode()
        seen += html.count('<li class="hit">')
    assert seen == len(ids)
    assert client.get("/search?q=striped round red things&by=meaning&after=nonsense").status_code == 400


@pytest.mark.django_db
def test_models_like_one_are_part_of_its_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stock()
    one, other = Repo.objects.get(name="ann/x1"), Repo.objects.get(name="ann/x2")
    monkeypatch.setattr(
        asking, "alike", lambda repo_id, limit: Answer(found=(Found(other.pk, 0.7, (Reason(Why.CARD, 0.7),)),))
    )
    assert 'hx-get="/alike/ann/x1"' in client.get("/models/ann/x1").content.decode()
    part = client.get("/alike/ann/x1", HTTP_HX_REQUEST="true").content.decode()
    assert "/models/ann/x2" in part
    assert "<html" not in part
    assert "<html" in client.get("/alike/ann/x1").content.decode()
    hits = client.get(f"/api/v1/search/similar/{one.name}").json()["hits"]
    assert [hit["name"] for hit in hits] == ["ann/x2"]
    assert client.get("/api/v1/search/similar/no/one").status_code == 404


# --- the process ----------------------------------------------------------------------------------------------------
class StillFeed:
    """A library that does not change; ``gate`` holds its loading back."""

    def __init__(self, gate: threading.Event) -> None:
        self.gate = gate
        self.encoder = lexical.fit(["bread and soup", "contracts in German", "spam in comments"])

    def load(self) -> Library:
        if not self.gate.wait(10):
            raise TimeoutError
        found = Library(self.encoder)
        found.cards.put([1, 2, 3], self.encoder.encode(["bread and soup", "contracts in German", "spam in comments"]))
        return found

    def refresh(self, library: Library) -> Library:
        return library

    def allowed(self, filters: object) -> np.ndarray | None:
        return np.array([2, 3]) if filters else None


@pytest.fixture
def process(tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The server on a socket whose path is longer than sockets' paths may be; set the event to let it load."""
    folder = tmp_path / ("a-long-name-" * 8)
    folder.mkdir()
    settings.SEARCH_ADDRESS = f"unix:{folder}/search.sock"  # type: ignore[attr-defined]
    asking._until[0] = 0.0
    monkeypatch.setattr(asking, "SECONDS", 30.0)  # a busy machine is no reason to call it silent
    stopping, gate = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=serving.serve,
        args=(settings.SEARCH_ADDRESS, StillFeed(gate), stopping),  # type: ignore[attr-defined]
    )
    thread.start()
    try:
        wait_until((folder / "search.sock").exists, seconds=10, what="the socket")
        yield gate
    finally:
        gate.set()
        stopping.set()
        thread.join(20)
        connections.close_all()
    assert not (folder / "search.sock").exists()


def test_it_says_that_it_loads_then_answers(process: threading.Event) -> None:
    with pytest.raises(asking.Silent) as silent:
        asking.ask(Question(text="bread"))
    assert silent.value.state == "loading"
    process.set()
    wait_until(_is_ready, seconds=30, what="the encoder")
    answer = asking.ask(Question(text="some bread", named={3: 0.9}))
    assert {found.repo_id for found in answer.found} == {1, 3}
    assert {found.repo_id for found in asking.ask(Question(text="some bread", filters={"licence": "mit"})).found} <= {
        2,
        3,
    }
    assert asking.alike(2, 5).found == ()
    for path, body, status in (("/ask", {"text": 5}, 400), ("/ask", {"text": "x" * 500}, 400), ("/no", {}, 404)):
        connection = asking._connection()
        connection.request("POST", path, json.dumps(body))
        answered = connection.getresponse()
        answered.read()
        connection.close()
        assert answered.status == status


def _is_ready() -> bool:
    try:
        return asking.health()["state"] == "ready"
    except asking.Silent:
        return False


def test_a_process_that_is_not_there_is_told_at_once(tmp_path: Path, settings: object) -> None:
    settings.SEARCH_ADDRESS = f"unix:{tmp_path}/none.sock"  # type: ignore[attr-defined]
    asking._until[0] = 0.0
    with pytest.raises(asking.Silent) as silent:
        asking.health()
    assert silent.value.state == "down"
