from __future__ import annotations

import time

import pytest

from localmind.readers.robots import may_fetch, rules

FILE = """
# For everybody
User-agent: *
Disallow: /private
Allow: /private/open
Disallow: /*.pdf$
Disallow: /a*b*c

User-agent: Googlebot
User-agent: LocalMind/1.0
Disallow: /only-us
Sitemap: https://example.org/sitemap.xml
"""


@pytest.mark.parametrize(
    ("path", "may"),
    [
        *(("/", True), ("", True), ("/private", False), ("/private/x", False), ("/private/open/x", True), ("/privat", True)),
        *(("/x.pdf", False), ("/x.pdf?y", True), ("/x.pdfs", True), ("/aXbXc!", False), ("/acb", True), ("/%70rivate", False)),
    ],
)
def test_the_longest_rule_that_matches_decides(path: str, may: bool) -> None:
    everybody = rules(FILE.partition("User-agent: Googlebot")[0])
    assert may_fetch(everybody, path) is may


def test_a_group_that_names_us_counts_alone() -> None:
    ours = rules(FILE)
    assert not may_fetch(ours, "/only-us")
    assert may_fetch(ours, "/private")


@pytest.mark.parametrize("text", ["", "Disallow: /", "User-agent: *\nDisallow:", "User-agent: other\nDisallow: /", "<html>nonsense: x"])
def test_what_forbids_nothing(text: str) -> None:
    assert may_fetch(rules(text), "/page")


def test_equal_rules_allow() -> None:
    assert may_fetch(rules("User-agent: *\nDisallow: /a\nAllow: /a"), "/a")


def test_a_hostile_rule_takes_no_time() -> None:
    began = time.monotonic()
    assert may_fetch(rules("User-agent: *\nDisallow: /" + "a*" * 2000 + "b"), "/" + "a" * 4000)
    assert time.monotonic() - began < 1
