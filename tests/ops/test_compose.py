"""docker-compose.yml and the Dockerfile, as far as they can be held to account without a Docker engine: the file obeys
the Compose specification, closes what it should, and every command in it runs, against a real PostgreSQL and Redis.

compose-spec.json is the schema of github.com/compose-spec/compose-spec (Apache-2.0, commit 170098b).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import psycopg
import pytest
import yaml

from tests.support.needs import ROOT
from tests.support.servers import die_with_parent, end, free_port, wait_until

FILE = ROOT / "docker-compose.yml"
OURS = ("migrate", "web", "crawl", "analyse", "gpu", "search", "beat")
SECRETS = {
    "SECRET_KEY": "k3y-of-this-test-8Jq2mVx0rTz5LwYbNdPcHsGf7aEuKi4o1RvXtQy",
    "ALLOWED_HOSTS": "rootstock.example.org",
    "POSTGRES_PASSWORD": "pgpgpgpgpg",
    "REDIS_PASSWORD": "rdrdrdrdrd",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text()))


def substitute(text: str, values: dict[str, str]) -> str:
    """``${X:?…}`` and ``${X:-…}`` as Compose reads them."""

    def one(found: re.Match[str]) -> str:
        name, sign, rest = found.groups()
        if values.get(name):
            return values[name]
        if sign == "?":
            raise KeyError(name)
        return rest

    return re.sub(r"(?<!\$)\$\{(\w+):([?-])([^}]*)\}", one, text).replace("$$", "$")


# --- the file -------------------------------------------------------------------------------------------------------
def test_it_obeys_the_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests/ops/compose-spec.json").read_text())
    jsonschema_rs.validator_for(schema).validate(compose)


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_no_secret_has_a_default(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        substitute(FILE.read_text(), {name: value for name, value in SECRETS.items() if name != missing})


def test_only_the_web_port_is_published_and_on_loopback(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert list(published) == ["web"]
    assert substitute(published["web"][0], {}) == "127.0.0.1:8000:8000"


def test_our_processes_have_no_rights_that_they_do_not_need(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["user"] == "10001:10001", name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_token_goes_to_readers_of_the_hub_alone(compose: dict[str, Any]) -> None:
    holders = {name for name, service in compose["services"].items() if "HF_TOKEN" in service.get("environment", {})}
    assert holders == {"crawl", "analyse", "gpu"}


def test_all_that_run_on_have_a_health_check(compose: dict[str, Any]) -> None:
    assert {name for name, service in compose["services"].items() if "healthcheck" not in service} == {"migrate"}


def test_every_queue_has_a_worker(compose: dict[str, Any]) -> None:
    from workers.celery import app

    served = {
        service["command"][service["command"].index("-Q") + 1]
        for service in compose["services"].values()
        if "worker" in service.get("command", ())
    }
    assert served == {queue.name for queue in app.conf.task_queues}


def dockerfile() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_image_holds_what_runs_and_its_context_nothing_else() -> None:
    copied = {words.split()[0] for verb, words in dockerfile() if verb == "COPY" and not words.startswith("--from")}
    ignored = (ROOT / ".dockerignore").read_text()
    for name in copied | {"pyproject.toml", "constraints.txt"}:
        if name not in {"pyproject.toml"}:
            assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored, name
    assert ("USER", "10001:10001") in dockerfile()


# --- its commands ---------------------------------------------------------------------------------------------------
class Stack:
    """The services of the file as processes of this machine."""

    def __init__(self, compose: dict[str, Any], folder: Path, database_url: str, redis_url: str, hub_url: str) -> None:
        self.compose, self.folder, self.port = compose, folder, free_port()
        self.values = {
            **SECRETS,
            "ROOTSTOCK_ADMIN_PASSWORD": "a passphrase for the first start",
            "HF_ENDPOINT": hub_url,
        }
        search = f"http://127.0.0.1:{free_port()}"
        self.here = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "ROOTSTOCK_SEARCH": search}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        given = self.compose["services"][name]["environment"]
        image = dict(pair.split("=", 1) for verb, words in dockerfile() if verb == "ENV" for pair in shlex.split(words))
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **{key: value for key, value in image.items() if key != "PATH"},
            **{key: substitute(str(value), self.values) for key, value in given.items()},
            "ROOTSTOCK_VAR": str(self.folder / name),
            "ROOTSTOCK_STATIC_ROOT": str(self.folder / "static"),
            **self.here,
        }

    def command(self, name: str) -> list[str]:
        command = self.compose["services"][name].get("command") or json.loads(
            next(words for verb, words in dockerfile() if verb == "CMD")
        )
        return [str(self.port) if word == "8000" else substitute(word, self.values) for word in command]

    def start(self, name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                self.command(name),
                cwd=ROOT,
                env=self.environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        return self.processes[name]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def is_healthy(self, name: str) -> bool:
        test = self.compose["services"][name]["healthcheck"]["test"][1:]
        words = [*test, str(self.port)] if name == "web" else test
        return subprocess.run(words, cwd=ROOT, env=self.environment(name), check=False).returncode == 0

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response


PROXIED = {"Host": "rootstock.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


@pytest.fixture(scope="module")
def stack(
    compose: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, postgres: Any, redis_url: str
) -> Iterator[Stack]:
    from samplehub import serve

    folder = tmp_path_factory.mktemp("compose")
    database_url = postgres.create()
    with serve("generated:120", process=True) as hub:
        running = Stack(compose, folder, database_url, redis_url, hub.url)
        build = next(words for verb, words in dockerfile() if verb == "RUN" and "collectstatic" in words)
        collect = build.split("&&")[0].replace("/tmp/build", str(folder / "build"))
        env = {**running.environment("web"), **dict.fromkeys(("SECRET_KEY", "DATABASE_URL", "REDIS_URL"), "")}
        subprocess.run(collect, cwd=ROOT, env=env, check=True, shell=True)
        try:
            assert running.start("migrate").wait(120) == 0, running.log("migrate")
            for name in ("web", "crawl", "analyse", "gpu", "search", "beat"):
                running.start(name)
            yield running
        finally:
            for process in running.processes.values():
                process.terminate()
            for process in running.processes.values():
                end(process, seconds=20)
    postgres.drop(database_url)


@pytest.mark.slow
def test_the_web_answers_a_proxy_and_sends_others_to_https(stack: Stack) -> None:
    wait_until(lambda: stack.is_healthy("web"), seconds=60, what=f"web: {stack.log('web')}")
    page = stack.get("/", **PROXIED)
    assert page.status == 200
    assert "upgrade-insecure-requests" in str(page.headers["Content-Security-Policy"])
    assert page.headers["Strict-Transport-Security"]
    plain = stack.get("/", Host="rootstock.example.org")
    assert plain.status == 301
    assert plain.headers["Location"] == "https://rootstock.example.org/"
    assert stack.get("/", **{**PROXIED, "Host": "elsewhere.example.org"}).status == 400


@pytest.mark.slow
def test_a_job_reaches_a_worker_and_its_results_a_page(stack: Stack) -> None:
    """A crawl of the whole hub, asked for as staff do it by hand; crawl and analyse workers share the work."""
    code = (
        "import django; django.setup()\n"
        "from hubapp.crawling import services; from hubapp.crawling.models import Scope\n"
        "services.start(scope=Scope.EVERYTHING)"
    )
    env = {**stack.environment("crawl"), "DJANGO_SETTINGS_MODULE": "hubapp.settings"}
    subprocess.run(["python", "-c", code], cwd=ROOT, env=env, check=True)
    with psycopg.connect(stack.here["DATABASE_URL"], autocommit=True) as database:

        def states() -> dict[str, set[str]]:
            found: dict[str, set[str]] = {}
            for kind, state in database.execute("SELECT kind, state FROM jobs_job"):
                found.setdefault(kind, set()).add(state)
            return found

        wait_until(
            lambda: states().get("crawl") == {"done"} and "done" in states().get("lineage", ()),
            seconds=90,
            what="crawl and lineage done",
        )
        (count,) = database.execute("SELECT count(*) FROM catalog_repo WHERE state = 'listed'").fetchone() or (0,)
        assert count >= 100


@pytest.mark.slow
def test_workers_and_scheduler_say_that_they_are_well(stack: Stack) -> None:
    for name in ("crawl", "analyse", "gpu", "search"):
        wait_until(lambda: stack.is_healthy(name), seconds=60, what=f"{name}: {stack.log(name)}")  # noqa: B023
    end(stack.processes["gpu"], seconds=20)
    assert not stack.is_healthy("gpu")


@pytest.mark.slow
def test_logs_are_json_and_hold_no_secret(stack: Stack) -> None:
    stack.get("/no/such/page", **PROXIED)
    lines = [json.loads(line) for line in stack.log("web").splitlines() if line.startswith("{")]
    assert any(line["event"] == "request" and line["path"] == "/no/such/page" for line in lines)
    for name in set(OURS) - {"migrate"}:
        odd = [
            line for line in stack.log(name).splitlines() if not line.startswith("{") and "Warm shutdown" not in line
        ]
        assert not [line for line in odd if line.strip()], name
    for name in OURS:
        for secret in (*SECRETS.values(), stack.values["ROOTSTOCK_ADMIN_PASSWORD"]):
            if secret != SECRETS["ALLOWED_HOSTS"]:
                assert secret not in stack.log(name), name
