"""Numbers, sizes and times as a person says them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubapp.web import wording
from hubapp.web.wording import THIN


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (1204, "1,204"),
        (9_999, "9,999"),
        (10_000, f"10{THIN}k"),
        (12_345, f"12{THIN}k"),
        (999_499, f"999{THIN}k"),
        (999_999, f"1{THIN}M"),
        (1_234_567, f"1.2{THIN}M"),
        (7_241_732_096, f"7.2{THIN}B"),
        (405_853_388_800, f"406{THIN}B"),
    ],
)
def test_numbers_are_rounded_as_a_person_says_them(value, said):
    assert wording.number(value) == said


@given(st.integers(min_value=0, max_value=10**15))
def test_a_rounded_number_is_within_a_twentieth_of_the_exact_one(value):
    figure, _, unit = wording.number(value).replace(",", "").partition(THIN)
    scale = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}[unit]
    assert abs(float(figure) * scale - value) <= 0.051 * value


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, f"0{THIN}B"), (999, f"999{THIN}B"), (3_100_000, f"3.1{THIN}MB"), (16 * 10**9, f"16{THIN}GB")],
)
def test_sizes_are_decimal_bytes(value, said):
    assert wording.size(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3, "just now"),
        (45, "45 seconds ago"),
        (60, "1 minute ago"),
        (3 * 86400, "3 days ago"),
        (400 * 86400, "1 year ago"),
        (-7200, "in 2 hours"),
    ],
)
def test_times_are_spans(seconds, said):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert wording.ago(now - timedelta(seconds=seconds), now) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 10, "0%"), (1, 3, "33%"), (1, 200, "0.5%"), (1, 10**6, "<0.1%"), (1, 0, "\u2013")],
)
def test_shares(part, whole, said):
    assert wording.share(part, whole) == said
