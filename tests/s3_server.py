"""The MinIO of the stack, as tests ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localmind.blobs.s3 import S3Blobs
from localmind.ids import random_id


def blobs_of(stack: Mapping[str, str], *, bucket: str = "", secret: str = "", **options: Any) -> S3Blobs:
    """Not open; below a prefix of its own. Options: those of S3Blobs."""
    return S3Blobs(
        stack["MINIO_ENDPOINT"],
        bucket or stack["MINIO_BUCKET"],
        stack["MINIO_ACCESS_KEY"],
        secret or stack["MINIO_SECRET_KEY"],
        **{"prefix": f"test-{random_id()}", **options},
    )
