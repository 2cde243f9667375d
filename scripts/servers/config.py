"""What infrastructure/stack/stack.env says, and the folders that the servers use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from string import Template

TEMPLATES = Path(__file__).resolve().parents[2] / "infrastructure" / "stack"


class StackError(Exception):
    """Something that a person has to mend; the message says how."""


@dataclass(frozen=True)
class Config:
    """values: the names of stack.env. data: what the servers keep. cache: what was downloaded or built, kept through `reset`."""

    values: dict[str, str]
    data: Path
    cache: Path

    def __getitem__(self, name: str) -> str:
        return self.values[f"STACK_{name}"]

    def port(self, name: str) -> int:
        return int(self[f"{name}_PORT"])

    def folder(self, server: str) -> Path:
        return self.data / server

    def log(self, server: str) -> Path:
        return self.data / "logs" / f"{server}.log"

    def render(self, template: str, **more: object) -> str:
        """A file of infrastructure/stack with ${NAME} filled in; an unknown name is an error."""
        return Template((TEMPLATES / template).read_text()).substitute(self.values, **more)


def load() -> Config:
    """stack.env, overruled by variables of the same name; $STACK_DIR and $STACK_CACHE move the folders."""
    lines = [line.strip() for line in (TEMPLATES / "stack.env").read_text().splitlines()]
    named = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    values = {name: os.environ.get(name, value) for name, value in named.items()}
    cache = Path(os.environ.get("STACK_CACHE") or Path.home() / ".cache" / "localmind-stack")
    # PostgreSQL refuses to run as root, and the user it runs as instead cannot enter /root.
    default = Path("/var/lib/localmind-stack") if os.geteuid() == 0 else cache / "data"
    return Config(values, Path(os.environ.get("STACK_DIR") or default).absolute(), cache.absolute())


def product_settings(config: Config) -> dict[str, str]:
    """The settings with which Local Mind uses these servers."""
    host = config["HOST"]
    account = f"{config['POSTGRES_USER']}:{config['POSTGRES_PASSWORD']}"
    return {
        "DATABASE_URL": f"postgresql+psycopg://{account}@{host}:{config['POSTGRES_PORT']}/{config['POSTGRES_DATABASE']}",
        "NEO4J_URI": f"bolt://{host}:{config['NEO4J_PORT']}",
        "NEO4J_USER": "neo4j",
        "NEO4J_PASSWORD": config["NEO4J_PASSWORD"],
        "MILVUS_URI": f"http://{host}:{config['MILVUS_PORT']}",
        "REDIS_URL": f"redis://:{config['REDIS_PASSWORD']}@{host}:{config['REDIS_PORT']}/0",
        "MINIO_ENDPOINT": f"http://{host}:{config['MINIO_PORT']}",
        "MINIO_ACCESS_KEY": config["MINIO_ACCESS_KEY"],
        "MINIO_SECRET_KEY": config["MINIO_SECRET_KEY"],
        "MINIO_BUCKET": config["MINIO_BUCKET"],
    }
