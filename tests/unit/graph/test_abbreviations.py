"""What a text says that an abbreviation stands for."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.graph.abbreviations import abbreviates, definitions


@pytest.mark.parametrize(
    ("text", "short", "long"),
    [
        ("The Message Queue (MQ) is full.", "MQ", "Message Queue"),
        ("MQ (message queue) is full.", "MQ", "message queue"),
        ("The Emperor Entertainment Group (EEG) sings.", "EEG", "Emperor Entertainment Group"),
        ("in Extensible Markup Language (XML)", "XML", "Extensible Markup Language"),
        ("the Kernel-based Virtual Machine (KVM)", "KVM", "Kernel-based Virtual Machine"),
        ("Control-flow Enforcement Technology (CET)", "CET", "Control-flow Enforcement Technology"),
        ("the Women's National Basketball League (WNBL)", "WNBL", "Women's National Basketball League"),
        ("the National Film Board of Canada (NFB)", "NFB", "National Film Board of Canada"),
        ("against Denial of Service (DoS) attacks", "DoS", "Denial of Service"),
        ("by drag and drop (DnD)", "DnD", "drag and drop"),
        ("Fast Fourier Transforms (FFTs)", "FFTs", "Fast Fourier Transforms"),
        ('the "Message Queue" (MQ)', "MQ", "Message Queue"),
        ("TTL stands for time to live.", "TTL", "time to live"),
        ("The National League (in full: of all), often abbreviated to the NL, was", "NL", "National League"),
    ],
)
def test_a_definition_is_found(text: str, short: str, long: str) -> None:
    assert (short, long) in definitions(text)


@pytest.mark.parametrize(
    "text",
    [
        "Leeks grow in Bergen (Norway).",
        "The Message. Queue (MQ)",
        "He said (ED) that",
        "a big red dog (not A)",
        "the Kuomintang (KMT)",
        "by Ana Silva (TP)",
        "see below (e.g. MQ)",
    ],
)
def test_what_defines_nothing_is_left_alone(text: str) -> None:
    assert definitions(text) == []


def test_the_letters_have_to_fit() -> None:
    assert abbreviates("IBM", "International Business Machines")
    assert not abbreviates("IBM", "Evil Corporation")
    assert not abbreviates("us", "United States")


@given(st.text(alphabet="aAbB-( )[],.'\n", max_size=300))
def test_any_text_is_read(text: str) -> None:
    for short, long in definitions(text):
        assert short in text
        assert len(long) > len(short)


def test_time_does_not_explode() -> None:
    texts = ["a-" * 40 + "a (AAAAAAAZ) ", "aaaa " * 12 + "(AAAAAAAAZ) ", "A (" * 20, "abbreviated " * 10]
    took = []
    for times in (10, 100):
        begun = time.process_time()
        for text in texts:
            definitions(text * times)
        took.append(time.process_time() - begun)
    assert took[1] < 60 * took[0]
