from tests.unit.ingest.conftest import desk, settings

__all__ = ["desk", "settings"]
