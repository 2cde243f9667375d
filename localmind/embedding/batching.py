"""How texts become batches: by a budget of padded tokens, neighbours in length together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def plan(lengths: Sequence[int], *, budget: int, streams: int) -> list[list[int]]:
    """Rows of each batch, longest texts first. A batch has at most `budget` tokens, padding counted, and at least one text.

    Few texts are spread over the streams: two texts on two streams are two batches.
    """
    budget = min(budget, -(-sum(lengths) // streams))
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def pad(rows: Sequence[NDArray[np.int64]], *, to: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(ids, mask), each int64 (len(rows), longest rounded up to a multiple of `to`): padding is id 0, mask 0."""
    import numpy as np

    longest = -(-max(len(row) for row in rows) // to) * to
    ids = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
