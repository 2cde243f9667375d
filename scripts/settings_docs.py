"""Writes .env.example and docs/settings.md anew from localmind/settings.py."""

from __future__ import annotations

from pathlib import Path

from localmind.operations.settings_docs import write

if __name__ == "__main__":
    write(Path(__file__).parent.parent)
