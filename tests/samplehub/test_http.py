"""The server speaks HTTP/1.1 as clients and proxies expect, and survives what is none."""

from __future__ import annotations

import http.client
import re
import socket

import pytest

import samplehub


def say(hub: samplehub.Running, data: bytes, *, half_close: bool = False) -> bytes:
    """What the server answers to raw bytes until it closes the connection or falls silent."""
    host, port = hub.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except TimeoutError:
            pass
        return answer


def test_one_connection_serves_many_requests(hub: samplehub.Running) -> None:
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=5)
    for target in ("/api/models?limit=2", "/api/models/nothing", "/seedling/resolve/main/config.json"):
        connection.request("GET", target)
        response = connection.getresponse()
        assert len(response.read()) == int(response.headers["Content-Length"])
        assert response.headers["Connection"] == "keep-alive"
    connection.close()


def test_head_has_the_headers_of_get_and_no_body(hub: samplehub.Running) -> None:
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=5)
    lengths = []
    for method in ("GET", "HEAD", "GET"):
        connection.request(method, "/seedling/resolve/main/README.md")
        response = connection.getresponse()
        lengths.append((response.headers["Content-Length"], response.headers["ETag"]))
        assert bool(response.read()) is (method == "GET")
    connection.close()
    assert len(set(lengths)) == 1


def test_requests_sent_ahead_are_answered_in_order(hub: samplehub.Running) -> None:
    one = b"GET /api/models/seedling?expand=likes HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /api/whoami-v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = say(hub, one + one + last)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", b"401"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET /%ff%00/%0d%0aX-Evil:%201 HTTP/1.1\r\n\r\n", b"401"),
    ],
)
def test_bad_requests_get_an_answer_and_harm_nobody(hub: samplehub.Running, data: bytes, status: bytes) -> None:
    answer = say(hub, data)
    assert answer.split(b" ")[1] == status
    assert b"\r\nX-Evil" not in answer
    assert hub.state()["repos"] == 55


def test_http_1_0_and_a_caller_that_hangs_up(hub: samplehub.Running) -> None:
    answer = say(hub, b"GET /api/models?limit=1 HTTP/1.0\r\n\r\n")
    assert b"Connection: close" in answer
    assert say(hub, b"GET /api/mod", half_close=True) == b""


def test_a_row_cannot_break_out_of_a_header() -> None:
    catalogue = samplehub.Catalogue.of_rows([{"id": "a/evil\r\nX-Evil: 1", "likes": 1}, {"id": "a/\ud800", "likes": 2}])
    with samplehub.serve(catalogue=catalogue) as hub:
        catalogue.renamed["old"] = "a/evil\r\nX-Evil: 1"
        answer = say(hub, b"GET /api/models/old HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 307")
        assert b"\r\nX-Evil" not in answer
        listing = say(hub, b"GET /api/models?sort=likes HTTP/1.0\r\n\r\n")
        assert rb"a/\ud800" in listing


def test_stopping_cuts_connections_and_frees_the_port() -> None:
    with samplehub.serve() as hub:
        host, port = hub.url.removeprefix("http://").split(":")
        idle = socket.create_connection((host, int(port)), timeout=2)
    assert idle.recv(1) == b""
    idle.close()
    with samplehub.serve(port=int(port)) as again:
        assert again.url.endswith(port)
