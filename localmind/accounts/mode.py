"""Whether logins are needed, and whether the key behind them is worth anything."""

from __future__ import annotations

import ipaddress

from localmind.errors import ConfigurationError
from localmind.settings import Settings

MIN_SECRET_BYTES = 32
MIN_SECRET_VARIETY = 8
"""Different characters of a key. What has fewer was typed, not drawn: 32 random hexadecimal digits have 14."""

KNOWN_WORDS = ("secret", "changeme", "change-me", "change_me", "password", "localmind", "default", "example")
HOW = "`openssl rand -base64 48`"


def needs_login(settings: Settings) -> bool:
    """Team mode. Nothing turns it off on an address that other machines can reach."""
    return settings.auth == "required" or not is_loopback(settings.host)


def check_secrets(settings: Settings) -> None:
    """Raises ConfigurationError where logins are needed and a key is missing or can be guessed."""
    if not needs_login(settings):
        return
    why = "AUTH=required" if settings.auth == "required" else f"HOST={settings.host} makes the service reachable from other machines"
    fault = weakness(settings.secret_key.get_secret_value())
    if fault:
        raise ConfigurationError(f"{why}, and SECRET_KEY {fault}.", hint=f"Set SECRET_KEY; {HOW} makes one.{_way_back(settings)}")
    for previous in previous_secrets(settings):
        if fault := weakness(previous):
            raise ConfigurationError(f"A key of SECRET_KEY_PREVIOUS {fault}.", hint="Take it out: tokens of a weak key can be forged.")


def weakness(secret: str, *, least_bytes: int = MIN_SECRET_BYTES, least_variety: int = MIN_SECRET_VARIETY) -> str | None:
    """What is wrong with a key, without the key; None where nothing is. least_variety: different characters."""
    if not secret:
        return "is not set"
    if len(secret.encode()) < least_bytes:
        return f"is weak: it has fewer than {least_bytes} characters"
    if len(set(secret)) < least_variety:
        return f"is weak: it has only {len(set(secret))} different characters"
    if any(word in secret.lower() for word in KNOWN_WORDS):
        return "is weak: it holds a well-known word"
    return None


def previous_secrets(settings: Settings) -> tuple[str, ...]:
    return tuple(part.strip() for part in settings.secret_key_previous.get_secret_value().split(",") if part.strip())


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _way_back(settings: Settings) -> str:
    return "" if settings.auth == "required" else " Or leave HOST at 127.0.0.1."
