"""Contrast and origin of what the style sheet and the scripts bring."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import apps.web

FOLDER = Path(apps.web.__file__).parent
LIGHT, DARK = re.findall(r":root \{(.*?)\}", (FOLDER / "static" / "style.css").read_text(), re.DOTALL)

TEXT_ON_GROUND = [
    *(("ink", ground) for ground in ("paper", "panel", "surface", "danger-soft", "accent-soft")),
    *(("ink-soft", ground) for ground in ("paper", "panel", "surface")),
    ("accent-ink", "accent"),
    ("accent", "accent-soft"),
    ("cited-ink", "cited"),
    ("danger", "danger-soft"),
    ("paper", "danger"),
    ("warn", "warn-soft"),
]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON_GROUND)
def test_text_has_the_contrast_that_wcag_aa_asks_for(palette: str, text: str, ground: str) -> None:
    assert contrast(colour(palette, text), colour(palette, ground)) >= 4.5


def test_nothing_is_loaded_from_another_host() -> None:
    for file in [*FOLDER.rglob("*.js"), *FOLDER.rglob("*.css"), *FOLDER.rglob("*.svg"), *FOLDER.rglob("*.py")]:
        found = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", file.read_text().replace("http://www.w3.org/2000/svg", "")))
        assert not found, file.name


def colour(palette: str, name: str) -> tuple[int, int, int]:
    digits = re.search(rf"--{name}: #([0-9a-f]{{6}})", palette)
    assert digits is not None, name
    red, green, blue = bytes.fromhex(digits[1])
    return red, green, blue


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """From 1 to 21; WCAG 2.2, "contrast ratio"."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(rgb: tuple[int, int, int]) -> float:
    """WCAG 2.2, "relative luminance"."""
    red, green, blue = (c / 12.92 if (c := part / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for part in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
