"""Which questions are about the whole."""

from __future__ import annotations

import pytest

from localmind.retrieval.wholes import MOST_CHARS, is_general

WHOLE = """
What are the main themes?
what are the main topics in my documents?
Give me an overview of these documents
Summarize everything
summarise all my notes
What is this collection about?
What are these documents about?
what topics are covered?
Which themes recur in these files?
What are the key themes across all documents?
what's in my knowledge base?
What are the main ideas of these papers?
What do my documents cover?
give me a summary of the whole collection
Was sind die Hauptthemen?
Worum geht es in diesen Dokumenten?
Fasse alle Dokumente zusammen
Quels sont les principaux thèmes ?
¿Cuáles son los temas principales?
"""
PART = """
What are the main themes of chapter 3 of Moby Dick?
What is the main theme of Hamlet?
How long does the soup simmer?
Who wrote these documents?
Which file holds the settings?
What is the key point of failure?
What are the key concepts of Kubernetes?
What is the summary of the case Roe v. Wade?
Describe the pump.
What does the data set contain for 1998?
When was the document signed?
Give me an overview of lazy evaluation
what is in chapter 3?
"""


@pytest.mark.parametrize("question", WHOLE.strip().splitlines())
def test_questions_about_the_whole(question: str) -> None:
    assert is_general(question)


@pytest.mark.parametrize("question", PART.strip().splitlines())
def test_questions_about_something(question: str) -> None:
    assert not is_general(question)


def test_a_long_question_says_what_it_is_about() -> None:
    assert not is_general("What are the main themes? " + "x" * MOST_CHARS)
