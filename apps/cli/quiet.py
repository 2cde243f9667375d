"""What commands that open the stores themselves would log."""

from __future__ import annotations


def quiet() -> None:
    """From now on errors alone, on standard error: structlog, left alone, writes all of it between the answer's lines."""
    from localmind.operations import logs

    logs.configure("ERROR", target="stderr")
