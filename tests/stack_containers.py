"""The servers as containers, each started when it is first asked for; for machines with a Docker engine (STACK=testcontainers)."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy
from testcontainers.core.waiting_utils import WaitStrategy


@dataclass(frozen=True)
class Recipe:
    """port: inside the container. settings: the product's, from the address and the stack's values."""

    port: int
    ready: Callable[[], WaitStrategy]
    settings: Callable[[str, int, Mapping[str, str]], dict[str, str]]
    command: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    more_ports: tuple[int, ...] = ()


RECIPES = {
    "redis": Recipe(
        6379,
        lambda: LogMessageWaitStrategy("Ready to accept connections"),
        lambda host, port, given: {"REDIS_URL": f"redis://:{given['STACK_REDIS_PASSWORD']}@{host}:{port}/0"},
        command="redis-server --requirepass {STACK_REDIS_PASSWORD}",
    ),
    "minio": Recipe(
        9000,
        lambda: HttpWaitStrategy(9000, "/minio/health/ready"),
        lambda host, port, given: {
            "MINIO_ENDPOINT": f"http://{host}:{port}",
            "MINIO_ACCESS_KEY": given["STACK_MINIO_ACCESS_KEY"],
            "MINIO_SECRET_KEY": given["STACK_MINIO_SECRET_KEY"],
            "MINIO_BUCKET": given["STACK_MINIO_BUCKET"],
        },
        command="server /data",
        env={"MINIO_ROOT_USER": "{STACK_MINIO_ACCESS_KEY}", "MINIO_ROOT_PASSWORD": "{STACK_MINIO_SECRET_KEY}"},
    ),
    "postgres": Recipe(
        5432,
        # The image starts it twice: once for itself, to make the account and the database.
        lambda: LogMessageWaitStrategy("database system is ready to accept connections", times=2),
        lambda host, port, given: {
            "DATABASE_URL": f"postgresql+psycopg://{given['STACK_POSTGRES_USER']}:{given['STACK_POSTGRES_PASSWORD']}@{host}:{port}"
            f"/{given['STACK_POSTGRES_DATABASE']}"
        },
        env={
            "POSTGRES_USER": "{STACK_POSTGRES_USER}",
            "POSTGRES_PASSWORD": "{STACK_POSTGRES_PASSWORD}",
            "POSTGRES_DB": "{STACK_POSTGRES_DATABASE}",
        },
    ),
    "neo4j": Recipe(
        7687,
        lambda: LogMessageWaitStrategy("Started."),
        lambda host, port, given: {
            "NEO4J_URI": f"bolt://{host}:{port}",
            "NEO4J_USER": "neo4j",
            "NEO4J_PASSWORD": given["STACK_NEO4J_PASSWORD"],
        },
        env={"NEO4J_AUTH": "neo4j/{STACK_NEO4J_PASSWORD}", "NEO4J_server_memory_heap_max__size": "{STACK_NEO4J_HEAP}"},
    ),
    "milvus": Recipe(
        19530,
        lambda: HttpWaitStrategy(9091, "/healthz"),
        lambda host, port, given: {"MILVUS_URI": f"http://{host}:{port}"},
        command="milvus run standalone",
        env={
            "ETCD_USE_EMBED": "true",
            "ETCD_DATA_DIR": "/var/lib/milvus/etcd",
            "COMMON_STORAGETYPE": "local",
            "DEPLOY_MODE": "STANDALONE",
        },
        more_ports=(9091,),
    ),
}


class NoImage(Exception):
    """The engine has no image for a server, and no registry gives it one."""


class Containers:
    """given: what infrastructure/stack/stack.env says."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._running: dict[str, DockerContainer] = {}

    def __enter__(self) -> Self:
        # The container that removes what a killed test run left is one more image, which an engine without a registry lacks.
        if "TESTCONTAINERS_RYUK_DISABLED" not in os.environ and not has_image(testcontainers_config.ryuk_image):
            testcontainers_config.ryuk_disabled = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for container in self._running.values():
            container.stop()

    def settings(self, server: str) -> dict[str, str]:
        """The product's settings for this server, which is started when it does not run. Raises NoImage."""
        recipe = RECIPES[server]
        if server not in self._running:
            self._running[server] = self._start(server, recipe)
        container = self._running[server]
        return recipe.settings(container.get_container_host_ip(), int(container.get_exposed_port(recipe.port)), self._given)

    def _start(self, server: str, recipe: Recipe) -> DockerContainer:
        name = image(server, self._given)
        container = DockerContainer(name).with_exposed_ports(recipe.port, *recipe.more_ports)
        for variable, value in recipe.env.items():
            container.with_env(variable, value.format_map(self._given))
        if recipe.command:
            container.with_command(recipe.command.format_map(self._given))
        container.waiting_for(recipe.ready().with_startup_timeout(180))
        try:
            return container.start()
        except APIError as error:
            if has_image(name):
                raise
            raise NoImage(f"the Docker engine has no {name} and cannot pull it; scripts/images builds Redis and MinIO") from error


def image(server: str, given: Mapping[str, str]) -> str:
    """The one that scripts/images built where there is one (of those that start as the public ones do), else the public one."""
    built = f"localmind-stack-{server}"
    return built if server in ("redis", "minio") and has_image(built) else given[f"STACK_{server.upper()}_IMAGE"]


def engine_problem() -> str | None:
    """Why no container can run here; None when one can."""
    with warnings.catch_warnings():
        # Docker's client leaves its socket open when nobody answers.
        warnings.simplefilter("ignore", ResourceWarning)
        problem = None
        try:
            docker.from_env().close()
        except DockerException as error:
            problem = f"no Docker engine answers: {error}"
        gc.collect()
    return problem


def has_image(name: str) -> bool:
    client = docker.from_env()
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    finally:
        client.close()
    return True
