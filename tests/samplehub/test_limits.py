"""Rate limits: fixed windows by bucket and caller, told in headers, enforced."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers
from hypothesis import given
from hypothesis import strategies as st

import samplehub
from samplehub.limits import RateLimits
from tests.samplehub.conftest import ask


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_headers_are_such_as_the_client_reads() -> None:
    with samplehub.serve(rate_limit="api=3/600,resolvers=5/600") as hub:
        api = HfApi(endpoint=hub.url, token=False)
        infos = [parse_ratelimit_headers(ask(hub, "/api/models?limit=1").headers) for _ in range(2)]
        assert [info.remaining for info in infos if info] == [2, 1]
        assert infos[0]
        assert (infos[0].resource_type, infos[0].limit, infos[0].window_seconds) == ("api", 3, 600)
        assert 0 < infos[0].reset_in_seconds <= 600
        api.model_info("seedling")
        with pytest.raises(HfHubHTTPError, match=r"(?s)'api' rate limit.*\(0/3 requests remaining"):
            api.model_info("seedling")
        files = ask(hub, "/seedling/resolve/main/config.json")  # another bucket
        assert files.status == 200
        assert files.headers["ratelimit"].startswith('"resolvers";r=4;t=')
        assert HfApi(endpoint=hub.url, token="sample-pro").model_info("seedling")  # another caller
        assert hub.state()["counts"]["rate limited"] == 1


def test_a_new_window_brings_a_new_allowance() -> None:
    clock = Clock()
    limits = RateLimits({("api", "free"): 2}, window=10.0, clock=clock)
    assert [limits.take("api", "free", "me")[0] for _ in range(3)] == [True, True, False]
    clock.now = 9.99
    allowed, headers = limits.take("api", "free", "me")
    assert not allowed
    assert ("RateLimit", '"api";r=0;t=1') in headers
    clock.now = 10.0
    assert limits.take("api", "free", "me")[0]
    assert limits.take("api", "free", "you")[0]


def test_figures_of_the_real_hub() -> None:
    real = RateLimits.parse("real")
    assert real.window == 300
    assert real.allowances["api", "anonymous"] == 500
    assert real.allowances["resolvers", "pro"] == 12000
    scaled = RateLimits.parse("real/100")
    assert (scaled.window, scaled.allowances["api", "free"]) == (3.0, 10)


@pytest.mark.parametrize(
    "text", ["api", "api=0/1", "api=5/0", "api=5/-1", "pages=5/5", "api=x/5", "real/0", "api=5/5,resolvers=5/6"]
)
def test_a_limit_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate limit|could not convert"):
        RateLimits.parse(text)


def test_no_limit_no_headers(hub: samplehub.Running) -> None:
    assert "ratelimit" not in ask(hub, "/api/models?limit=1").headers


@given(st.lists(st.floats(0, 40), max_size=60), st.integers(1, 5))
def test_no_window_admits_more_than_its_allowance(moments: list[float], quota: int) -> None:
    clock = Clock()
    limits = RateLimits({("api", "free"): quota}, window=10.0, clock=clock)
    admitted: dict[int, int] = {}
    for moment in sorted(moments):
        clock.now = moment
        allowed, _ = limits.take("api", "free", "me")
        window = int(moment // 10)
        assert allowed is (admitted.get(window, 0) < quota)
        admitted[window] = admitted.get(window, 0) + allowed
