from __future__ import annotations

import email.utils
import time

import pytest

from localmind.llm.refusals import Endpoint, retry_after_s


def test_retry_after_is_seconds_or_a_date():
    assert retry_after_s({"retry-after": "12"}) == 12
    assert retry_after_s({"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)}) == pytest.approx(60, abs=2)
    assert retry_after_s({"retry-after": email.utils.formatdate(0, usegmt=True)}) == 0


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "-3"])
def test_a_retry_after_that_says_nothing_is_none(value):
    assert retry_after_s({"retry-after": value}) is None


def test_what_is_shown_of_an_endpoint_holds_no_secret():
    endpoint = Endpoint("https://me:hunter2@host:1234/v1?key=s", "m", "sk-1", 5)

    assert endpoint.address == "https://host:1234/v1"
    assert endpoint.redacted("key sk-1 is\nwrong") == "key *** is wrong"
