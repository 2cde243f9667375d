"""What a chunk is about."""

from __future__ import annotations

import pytest

from localmind.extraction.keyphrase import KeyphraseExtractor
from localmind.extraction.port import Passage
from localmind.model import ABOUT


def subjects(text: str, *, title: str = "", heading: str = "") -> list[str]:
    extraction = KeyphraseExtractor().extract([Passage(title, heading, text)])[0].extraction
    return [entity.name for entity in extraction.entities if entity.weight >= ABOUT]


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Edith Carlmar was an actress. She worked with Otto Carlmar.", "Edith Carlmar"),
        ("The Royal Albert Bridge spans the Tamar. It was designed by Brunel.", "Royal Albert Bridge"),
        ("message queues keep messages for seven days. a worker reads them.", "message queues"),
        ("Die Wärmepumpe entzieht der Luft Wärme und gibt sie an das Haus ab.", "Wärmepumpe"),
        ("Le moteur diesel fut inventé par Rudolf Diesel à Augsbourg.", "moteur diesel"),
        ("El Quijote fue escrito por Miguel de Cervantes en Madrid.", "Quijote"),
        ("Лев Толстой родился в Ясной Поляне. Он написал роман.", "Лев Толстой"),
    ],
)
def test_a_text_is_about_what_it_opens_with(text: str, subject: str) -> None:
    assert subject in subjects(text)


def test_a_text_is_about_what_its_title_and_heading_name_and_it_takes_up() -> None:
    text = "Keep it at 4 bar. The pump is checked monthly, and the boiler twice a year."
    assert {name.lower() for name in subjects(text, title="Boiler", heading="Plant › Pump")} == {"boiler", "pump"}
    assert subjects(text, title="Handbook of the plant", heading="Overview") == []


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Laie, Hawaii", "Laie"),
        ("Redis: a guide", "Redis"),
        ("Redis – Anleitung", "Redis"),
        ("Mercury (planet)", "Mercury"),
        ("東京、日本", "東京、日本"),
    ],
)
def test_a_title_is_also_what_stands_before_its_comma_or_colon(title: str, name: str) -> None:
    assert name in subjects(f"In short: {name} is told of here.", title=title)


@pytest.mark.parametrize(
    "title", ["notes.pdf", "Chapter 3", "Introduction", "12", "", "?", "one two three four five six seven eight nine ten eleven more words"]
)
def test_titles_that_name_nothing_are_no_subjects(title: str) -> None:
    assert subjects(f"in 1999 it rained. see {title}.", title=title) == []


def test_naming_something_often_does_not_make_it_the_subject() -> None:
    assert subjects("It rained. " + "Then Ada came. " * 30) == []


def test_a_ranks_holder_is_known_without_the_rank() -> None:
    extraction = KeyphraseExtractor().extract([Passage("", "", "It was built for King Frederick IV of Denmark in 1699.")])[0].extraction
    assert {"King Frederick IV of Denmark", "Frederick IV of Denmark"} <= {entity.name for entity in extraction.entities}
