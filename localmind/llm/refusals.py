"""What a model server's failures mean to us: worth a retry, or a setting to mend. Pure, shared by the adapters."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from localmind.errors import ConfigurationError, LLMUnavailable, LocalMindError
from localmind.llm.patience import RateLimited
from localmind.llm.port import RequestRefused

MOST_DETAIL_CHARS = 300


class Endpoint(NamedTuple):
    """Whom we talk to, as messages need it. secret never appears in one."""

    base_url: str
    model: str
    secret: str
    timeout_s: float

    @property
    def address(self) -> str:
        """The address without user name and password."""
        parts = urlsplit(self.base_url)
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
        return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"

    def redacted(self, text: str) -> str:
        """Servers repeat the key that they refuse, some of them in full."""
        text = " ".join(text.split())
        return (text.replace(self.secret, "***") if self.secret else text)[:MOST_DETAIL_CHARS]


def refused(endpoint: Endpoint, status: int, detail: str, headers: Mapping[str, str], *, code: str = "") -> LocalMindError:
    """The error for an HTTP status of 400 or more. detail: the server's own words. code: OpenAI's error code, if any."""
    detail = endpoint.redacted(detail)
    if status == 401 or status == 403:
        return ConfigurationError(f"The LLM at {endpoint.address} refuses the API key (HTTP {status}).", hint="Check LLM_API_KEY.")
    if status == 404 and (code == "model_not_found" or "model" in detail.lower()):
        return ConfigurationError(
            f"The LLM at {endpoint.address} does not know the model {endpoint.model!r}: {detail}",
            hint="Check LLM_MODEL (with Ollama: `ollama list`, `ollama pull`).",
        )
    if status in (404, 405):
        return ConfigurationError(
            f"{endpoint.address} is not the address of an LLM's API (HTTP {status}): {detail}",
            hint="Check LLM_BASE_URL (it usually ends in /v1), and LLM_MODEL.",
        )
    if code == "insufficient_quota" or status == 402:
        return ConfigurationError(
            f"The account at {endpoint.address} has no credit left: {detail}", hint="Add credit, or set LLM_BASE_URL and LLM_MODEL."
        )
    if status == 429:
        wait_s = retry_after_s(headers)
        return RateLimited(
            f"The LLM at {endpoint.address} takes no more requests for now (HTTP 429).",
            hint="Lower LLM_CONCURRENCY, or try again later." if wait_s is None else f"It asks to wait {wait_s:.0f} s.",
            retry_after_s=wait_s,
        )
    if status in (408, 409) or status >= 500:
        return LLMUnavailable(f"The LLM at {endpoint.address} failed (HTTP {status}): {detail}", hint="See the LLM server's log.")
    return RequestRefused(
        f"The LLM at {endpoint.address} refuses the request (HTTP {status}): {detail}",
        hint="Check LLM_MODEL, and that CONTEXT_WINDOW is not more than the model takes.",
    )


def unreachable(endpoint: Endpoint) -> LLMUnavailable:
    return LLMUnavailable(f"The LLM at {endpoint.address} can't be reached.", hint="Start it, or check LLM_BASE_URL.")


def too_slow(endpoint: Endpoint, limit_s: float | None = None) -> LLMUnavailable:
    return LLMUnavailable(
        f"The LLM at {endpoint.address} did not answer within {limit_s or endpoint.timeout_s:g} s.",
        hint="A smaller model answers sooner; LLM_TIMEOUT_S sets the limit.",
    )


def not_understood(endpoint: Endpoint, what: str) -> LLMUnavailable:
    return LLMUnavailable(
        f"{endpoint.address} does not answer as an LLM server does: {what}.",
        hint="Check LLM_BASE_URL (it usually ends in /v1) and any proxy on the way.",
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds (RFC 9110: whole seconds, or a date), not negative; None where it is absent or unreadable."""
    value = headers.get("retry-after", "")
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
