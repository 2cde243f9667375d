"""A second hop in several languages and without capitals: the passage that answers shares no word with the question."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from localmind.errors import StoreUnavailable
from localmind.model import Mode

from .test_search import ACME, Away, Library, library  # noqa: F401 - a fixture

# The embedder of these tests knows no meaning, so that anything may be near: it finds the second hop in no case.
NOISE = [
    ("Soup", "Leeks, potatoes and stock simmer for twenty minutes."),
    ("Garden", "Tomatoes want sun and a sheltered wall."),
    ("Roof", "Tiles are checked for frost damage each spring."),
    ("Car", "Tyres lose pressure when nights are cold."),
]

CASES = {
    "English": (
        "who was the mother of the director of the film Silent Harbour",
        [
            ("Silent Harbour", "Silent Harbour is a 1954 drama directed by Edith Carlmar and set in Oslo."),
            ("Edith Carlmar", "Edith Carlmar grew up in the east of the city. Her parent Agnes ran a bakery."),
        ],
    ),
    "German": (
        "Aus welcher Stadt stammt der Erbauer der Göltzschtalbrücke?",
        [
            ("Göltzschtalbrücke", "Die Göltzschtalbrücke wurde von Johann Andreas Schubert berechnet."),
            ("Johann Andreas Schubert", "Johann Andreas Schubert kam in Wernesgrün zur Welt und lehrte später."),
        ],
    ),
    "French": (
        "Où est né l'architecte du viaduc de Garabit ?",
        [
            ("Viaduc de Garabit", "Le viaduc de Garabit fut calculé par Maurice Koechlin pour l'entreprise."),
            ("Maurice Koechlin", "Maurice Koechlin naquit à Buhl, en Alsace, puis étudia à Zurich."),
        ],
    ),
    "Spanish": (
        "¿Dónde nació el ingeniero del puente de Triana?",
        [
            ("Puente de Triana", "El puente de Triana fue proyectado por Gustavo Steinacher en Sevilla."),
            ("Gustavo Steinacher", "Gustavo Steinacher llegó desde Burdeos con su familia."),
        ],
    ),
    "Russian": (
        "Где родился автор романа «Тихая гавань»?",
        [
            ("Тихая гавань", "«Тихая гавань» — повесть, которую написал Андрей Белозёров."),
            ("Андрей Белозёров", "Андрей Белозёров вырос в Вологде и учился там же."),
        ],
    ),
    "Japanese": (
        "静かな港の監督はどこで生まれましたか",
        [
            ("静かな港", "映画「静かな港」は黒沢太郎が監督した作品です。静かな港の音楽も有名です。"),
            ("黒沢太郎", "黒沢太郎は函館に育ち、のちに上京した。"),
        ],
    ),
}


def second_hop_is_found(shelf: Library, query: str, passages: Sequence[tuple[str, str]], mode: Mode) -> bool:
    ids = [shelf.add(title, text)[0] for title, text in [*passages, *NOISE]]
    away = Away(StoreUnavailable("away"))
    found = [hit.chunk_id for hit in shelf.search(vectors=away).search(ACME, query, mode=mode, limit=2).hits]
    return set(found) == set(ids[:2])


@pytest.mark.parametrize("mode", [Mode.GRAPH, Mode.HYBRID])
@pytest.mark.parametrize("language", CASES)
def test_a_second_hop_is_found(library: Library, language: str, mode: Mode) -> None:  # noqa: F811
    query, passages = CASES[language]
    assert second_hop_is_found(library, query, passages, mode)


@pytest.mark.parametrize("language", CASES)
def test_a_question_without_capitals_finds_it_too(library: Library, language: str) -> None:  # noqa: F811
    query, passages = CASES[language]
    assert second_hop_is_found(library, query.lower(), passages, Mode.HYBRID)


@pytest.mark.parametrize("language", CASES)
def test_a_text_without_capitals_is_walked_too(library: Library, language: str) -> None:  # noqa: F811
    query, passages = CASES[language]
    lower = [(title.lower(), text.lower()) for title, text in passages]
    assert second_hop_is_found(library, query.lower(), lower, Mode.HYBRID)
