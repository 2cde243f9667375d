"""The settings and the version of this process, read once."""

from __future__ import annotations

from functools import cache
from importlib import metadata

from pydantic import ValidationError

from localmind.errors import ConfigurationError
from localmind.settings import Settings


@cache
def get_settings() -> Settings:
    """Settings from the environment and `.env`. Raises ConfigurationError that names each value out of bounds."""
    try:
        return Settings()
    except ValidationError as error:
        # The values stay out of the message: one of them may be a secret.
        wrong = "; ".join(f"{'.'.join(map(str, entry['loc'])).upper()}: {entry['msg']}" for entry in error.errors())
        raise ConfigurationError(f"Some settings are not valid: {wrong}.", hint="Mend them in the environment or in .env.") from error


@cache
def version() -> str:
    return metadata.version("localmind")
