"""Local Mind: documents in, answers with page citations out."""

__version__ = "0.1.0"
