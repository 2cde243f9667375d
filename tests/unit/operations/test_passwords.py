"""Passwords of servers that could be guessed, told by doctor before and after the start."""

from __future__ import annotations

from localmind.operations.doctor import examine_before_start
from localmind.operations.passwords import weak_passwords
from localmind.operations.servers import look_at_passwords
from localmind.settings import Settings

GOOD = "9f2c41d07be8a35566d1"


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, host="0.0.0.0", secret_key="k7$Qz" * 8, **given)  # type: ignore[arg-type]


def test_what_could_be_guessed_is_named_without_being_shown() -> None:
    check = look_at_passwords(
        settings(
            neo4j_uri="bolt://neo4j:7687",
            neo4j_password="neo4j",
            redis_url="redis://redis:6379/0",
            database_url=f"postgresql+psycopg://localmind:{GOOD}@catalog/localmind",
            minio_endpoint="http://minio:9000",
            minio_secret_key="aaaabbbbaaaabbbb",
        )
    )
    assert not check.ok
    assert "NEO4J_PASSWORD: its password is weak: it is one that servers come with" in check.detail
    assert "REDIS_URL: its password is not set" in check.detail
    assert "MINIO_SECRET_KEY: its password is weak: it has only 2 different characters" in check.detail
    assert "DATABASE_URL" not in check.detail and "aaaabbbb" not in check.detail


def test_drawn_passwords_and_servers_of_this_machine_alone_are_well() -> None:
    assert weak_passwords(settings(redis_url=f"redis://:{GOOD}@redis:6379/0")) == {}
    assert weak_passwords(settings(redis_url="redis://127.0.0.1:6379/0", neo4j_uri="bolt://localhost", neo4j_password="x")) == {}


def test_a_laptop_is_not_asked() -> None:
    laptop = Settings(_env_file=None, neo4j_uri="bolt://neo4j:7687", neo4j_password="neo4j")
    assert look_at_passwords(laptop).ok


def test_before_the_start_nothing_is_connected_to(tmp_path: object) -> None:
    checks = examine_before_start(settings(neo4j_uri="bolt://192.0.2.1:7687", neo4j_password=GOOD, data_dir=tmp_path))
    assert [check.name for check in checks] == ["data", "settings", "passwords"] and all(check.ok for check in checks)
    assert not examine_before_start(settings(redis_url=f"redis://:{GOOD}@redis:6379/0"))[1].ok, "a fleet needs its other servers"
