"""What a chunk says of an entity under several names."""

from __future__ import annotations

import pytest

from localmind.graph.merging import merge
from localmind.model import ABOUT, ChunkId, ExtractedEntity, Extraction


@pytest.mark.parametrize(
    ("weights", "is_subject"), [((3.0, 3.0), False), ((4.0, 4.0, 4.0), False), ((1.0, ABOUT), True), ((ABOUT + 1, 4.0), True)]
)
def test_an_entity_named_in_passing_under_many_spellings_is_no_subject(weights: tuple[float, ...], is_subject: bool) -> None:
    spelled = [ExtractedEntity(f"Aurora{' ' * n} Pump", weight=weight) for n, weight in enumerate(weights, start=1)]
    mentions = merge({ChunkId("c"): Extraction(tuple(spelled))}).mentions[ChunkId("c")]
    (said,) = mentions.values()
    assert (said.weight >= ABOUT) is is_subject
    assert said.weight >= max(weights)
