"""The settings and the version of this process, read once."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from localmind.errors import ConfigurationError
from localmind.settings import Settings

SECRETS_DIR = Path("/run/secrets")
"""Where container engines put secrets: a file named as the setting, in small or capital letters. The environment wins."""


@cache
def get_settings() -> Settings:
    """Settings from the environment, `.env` and files of secrets. Raises ConfigurationError that names each value out of bounds."""
    try:
        return Settings(_secrets_dir=SECRETS_DIR if SECRETS_DIR.is_dir() else None)
    except SettingsError as error:
        raise ConfigurationError(f"A file of secrets can't be read: {error.__cause__ or error}.", hint="Let this user read it.") from error
    except ValidationError as error:
        # The values stay out of the message: one of them may be a secret.
        wrong = "; ".join(f"{'.'.join(map(str, entry['loc'])).upper()}: {entry['msg']}" for entry in error.errors())
        raise ConfigurationError(f"Some settings are not valid: {wrong}.", hint="Mend them in the environment or in .env.") from error


@cache
def version() -> str:
    return metadata.version("localmind")
