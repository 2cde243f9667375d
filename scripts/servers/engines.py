"""The six servers: what each needs, how it is started, asked and stopped."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from servers import questions
from servers.config import Config, StackError
from servers.downloads import MILVUS, MINIO, NEO4J, Download
from servers.process import alive
from servers.programs import Need, program


@dataclass(frozen=True)
class Launch:
    command: list[str]
    env: dict[str, str]
    user: str | None = None


@dataclass(frozen=True)
class Engine:
    """launch: makes the server's files and says how it starts. settle: what is done once when it listens. ask: raises until it answers.

    after: the servers that must answer before this one starts. stop: the signal for an orderly end.
    """

    name: str
    port: str
    needs: tuple[Need, ...]
    launch: Callable[[Config], Launch]
    ask: Callable[[Config], None]
    after: tuple[str, ...] = ()
    download: Download | None = None
    settle: Callable[[Config], None] | None = None
    stop: signal.Signals = signal.SIGTERM
    patience_s: float = 20.0


def _redis(config: Config) -> Launch:
    folder = _folder(config, "redis")
    (folder / "redis.conf").write_text(config.render("redis.conf", data=folder))
    return Launch([str(program("redis-server")), str(folder / "redis.conf")], {})


def _etcd(config: Config) -> Launch:
    client = f"http://{config['HOST']}:{config['ETCD_PORT']}"
    peer = f"http://{config['HOST']}:{config['ETCD_PEER_PORT']}"
    options = {
        "name": "stack",
        "data-dir": str(_folder(config, "etcd")),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"stack={peer}",
        "auto-compaction-mode": "revision",
        "auto-compaction-retention": "1000",
        "log-level": "warn",
    }
    # etcd reads ETCD_* variables as options too, and warns of every one that it does not know.
    return Launch([str(program("etcd")), *(f"--{name}={value}" for name, value in options.items())], {})


def _postgres(config: Config) -> Launch:
    user = _unprivileged()
    folder = _folder(config, "postgres", user=user)
    cluster = folder / "cluster"
    if not (cluster / "PG_VERSION").exists():
        _initdb(config, folder, cluster, user)
    _drop_dead_lock(cluster / "postmaster.pid")
    (cluster / "postgresql.conf").write_text(config.render("postgresql.conf"))
    return Launch([str(postgres_binaries() / "postgres"), "-D", str(cluster)], {"LC_ALL": "C.UTF-8"}, user)


def _drop_dead_lock(lock: Path) -> None:
    """A killed server stays a zombie until init collects it (in a container perhaps never), and PostgreSQL takes it for a living one."""
    if lock.exists() and not alive(int(lock.read_text(encoding="utf-8").split()[0])):
        lock.unlink()


def _initdb(config: Config, folder: Path, cluster: Path, user: str | None) -> None:
    shutil.rmtree(cluster, ignore_errors=True)
    password = folder / "password"
    password.write_text(config["POSTGRES_PASSWORD"])
    if user:
        shutil.chown(password, user)
    options = ["--auth=scram-sha-256", f"--pwfile={password}", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(
        [str(postgres_binaries() / "initdb"), f"--pgdata={cluster}", *options],
        cwd="/",
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
    )
    password.unlink()
    if done.returncode:
        where = f" User {user!r} must be able to enter {folder}: set STACK_DIR to such a folder." if user else ""
        raise StackError(f"initdb failed: {done.stderr.strip()[-1000:]}{where}")


def _settle_postgres(config: Config) -> None:
    """The product's account owns its database and may make others; it is no superuser, as it would not be elsewhere."""
    name, database = config["POSTGRES_USER"], config["POSTGRES_DATABASE"]

    def run(statement: str) -> str:
        return questions.sql(config, postgres_binaries(), statement, user="postgres", database="postgres")

    if not run(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'"):
        run(f"CREATE ROLE \"{name}\" LOGIN CREATEDB PASSWORD '{config['POSTGRES_PASSWORD']}'")
    if not run(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"):
        run(f'CREATE DATABASE "{database}" OWNER "{name}"')


def postgres_binaries() -> Path:
    """Where initdb and psql lie beside the server."""
    return program("postgres").parent


def _minio(config: Config) -> Launch:
    env = {"MINIO_ROOT_USER": config["MINIO_ACCESS_KEY"], "MINIO_ROOT_PASSWORD": config["MINIO_SECRET_KEY"], "MINIO_UPDATE": "off"}
    addresses = [f"--address={config['HOST']}:{config['MINIO_PORT']}", f"--console-address={config['HOST']}:{config['MINIO_CONSOLE_PORT']}"]
    return Launch([str(MINIO.get(config) / "minio"), "server", *addresses, str(_folder(config, "minio"))], env)


def _neo4j(config: Config) -> Launch:
    home = _folder(config, "neo4j")
    conf = home / "conf"
    conf.mkdir(exist_ok=True)
    (conf / "neo4j.conf").write_text(config.render("neo4j.conf", data=home / "data", logs=home / "logs"))
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")]
    memory = [f"-Xms{config['NEO4J_HEAP']}", f"-Xmx{config['NEO4J_HEAP']}", "-XX:+UseG1GC"]
    classes = ["-cp", f"{NEO4J.get(config)}/*", "org.neo4j.server.CommunityEntryPoint"]
    return Launch([str(program("java")), *memory, *opened, *classes, f"--home-dir={home}", f"--config-dir={conf}"], {})


def _settle_neo4j(config: Config) -> None:
    """A new database has the password `neo4j` and answers nothing before it is changed."""
    try:
        questions.ask_neo4j(config)
    except questions.NotYet:
        change = "ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO $password"
        questions.cypher(config, "system", change, password="neo4j", parameters={"password": config["NEO4J_PASSWORD"]})


def _milvus(config: Config) -> Launch:
    folder = _folder(config, "milvus")
    conf = folder / "conf"
    conf.mkdir(exist_ok=True)
    program = MILVUS.get(config)
    # Its parts talk to each other over the ports beside the public one.
    inner = {f"inner_{n}": config.port("MILVUS") + n for n in range(1, 8)}
    (conf / "milvus.yaml").write_text(config.render("milvus.yaml", data=folder, **inner))
    shutil.copy(program / "glog.conf", conf)
    _forget_dead_sessions(config)
    env = {
        "MILVUSCONF": str(conf),
        "METRICS_PORT": config["MILVUS_METRICS_PORT"],
        "LD_LIBRARY_PATH": str(program),
    }
    return Launch([str(program / "milvus"), "run", "standalone", "-alias", f"stack-{config['MILVUS_PORT']}"], env)


def _forget_dead_sessions(config: Config) -> None:
    """A killed Milvus stands in etcd as a living one for a minute, and a new one that asks it for its state gives up."""
    try:
        sessions = "milvus/meta/session/"
        questions.forget_in_etcd(config, sessions, f"{sessions}id")
        questions.forget_in_etcd(config, f"{sessions}id/", f"{sessions}~")  # its counter `id` stays
    except questions.NotYet as error:
        raise StackError(f"milvus needs etcd, which does not answer: {error}") from error


def _folder(config: Config, name: str, *, user: str | None = None) -> Path:
    folder = config.folder(name)
    if not folder.exists():
        folder.mkdir(parents=True, mode=0o700)
        if user:
            shutil.chown(folder, user)
    return folder


def _unprivileged() -> str | None:
    """Whom PostgreSQL runs as where we are root; None where we are not."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _ask_postgres(config: Config) -> None:
    questions.ask_postgres(config, postgres_binaries())


_REDIS = Engine("redis", "REDIS", (Need("redis-server", "redis-server"),), _redis, questions.ask_redis)
_ETCD = Engine("etcd", "ETCD", (Need("etcd", "etcd-server"),), _etcd, questions.ask_etcd)
_POSTGRES = Engine(
    "postgres",
    "POSTGRES",
    (Need("postgres", "postgresql"),),
    _postgres,
    _ask_postgres,
    settle=_settle_postgres,
    stop=signal.SIGINT,  # "fast": does not wait for clients to leave
)
_MINIO = Engine("minio", "MINIO", (), _minio, questions.ask_minio, download=MINIO)
_NEO4J = Engine(
    "neo4j", "NEO4J", (Need("java", "default-jre-headless"),), _neo4j, questions.ask_neo4j, download=NEO4J, settle=_settle_neo4j
)
_MILVUS = Engine("milvus", "MILVUS", (), _milvus, questions.ask_milvus, after=("etcd", "minio"), download=MILVUS)

ENGINES = {engine.name: engine for engine in (_REDIS, _ETCD, _POSTGRES, _MINIO, _NEO4J, _MILVUS)}
