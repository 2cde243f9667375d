"""The settings and the version of this process, read once."""

from __future__ import annotations

from functools import cache
from importlib import metadata

from localmind.settings import Settings


@cache
def get_settings() -> Settings:
    """Settings from the environment and `.env`. Raises pydantic's ValidationError for a value out of bounds."""
    return Settings()


@cache
def version() -> str:
    return metadata.version("localmind")
