"""A real question to each server: it is up when it answers. The standard library's sockets, so that no client is needed."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from servers.config import Config

TIMEOUT_S = 5.0


class NotYet(Exception):
    """No answer, or not the right one; the message says what came instead."""


def ask_redis(config: Config) -> None:
    with socket.create_connection((config["HOST"], config.port("REDIS")), TIMEOUT_S) as connection:
        connection.sendall(f"AUTH {config['REDIS_PASSWORD']}\r\nPING\r\n".encode())
        answer = b""
        while answer.count(b"\r\n") < 2:
            more = connection.recv(1024)
            if not more:
                break
            answer += more
    if answer != b"+OK\r\n+PONG\r\n":
        raise NotYet(answer.decode(errors="replace"))


def ask_postgres(config: Config, binaries: Path) -> None:
    if sql(config, binaries, "SELECT 1", user=config["POSTGRES_USER"], database=config["POSTGRES_DATABASE"]) != "1":
        raise NotYet("SELECT 1 gave something else")


def sql(config: Config, binaries: Path, statement: str, *, user: str, database: str) -> str:
    command = [str(binaries / "psql"), "-h", config["HOST"], "-p", config["POSTGRES_PORT"], "-U", user, "-d", database]
    env = {"PGPASSWORD": config["POSTGRES_PASSWORD"], "PGCONNECT_TIMEOUT": "5", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*command, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement], env=env, capture_output=True, text=True, timeout=30
    )
    if done.returncode:
        raise NotYet(done.stderr.strip())
    return done.stdout.strip()


def ask_etcd(config: Config) -> None:
    key = base64.b64encode(b"localmind-stack").decode()
    _http(f"http://{config['HOST']}:{config['ETCD_PORT']}/v3/kv/range", body={"key": key})


def forget_in_etcd(config: Config, first: str, end: str) -> None:
    """Deletes all keys from the first to before the end."""
    keys = {name: base64.b64encode(key.encode()).decode() for name, key in (("key", first), ("range_end", end))}
    _http(f"http://{config['HOST']}:{config['ETCD_PORT']}/v3/kv/deleterange", body=keys)


def ask_minio(config: Config) -> None:
    """Its bucket is there, made when it was missing."""
    address = f"{config['HOST']}:{config['MINIO_PORT']}"
    path = f"/{config['MINIO_BUCKET']}"
    try:
        _http(f"http://{address}{path}", method="HEAD", headers=_signed(config, "HEAD", address, path))
    except NotYet as error:
        if not isinstance(error.__cause__, urllib.error.HTTPError) or error.__cause__.code != 404:
            raise
        _http(f"http://{address}{path}", method="PUT", headers=_signed(config, "PUT", address, path))


def ask_neo4j(config: Config) -> None:
    if cypher(config, "neo4j", "RETURN 1", password=config["NEO4J_PASSWORD"]) != [1]:
        raise NotYet("RETURN 1 gave something else")


def cypher(config: Config, database: str, statement: str, *, password: str, parameters: dict[str, str] | None = None) -> list[object]:
    """The first row; [] without one."""
    login = base64.b64encode(f"neo4j:{password}".encode()).decode()
    answer = _http(
        f"http://{config['HOST']}:{config['NEO4J_HTTP_PORT']}/db/{database}/tx/commit",
        body={"statements": [{"statement": statement, "parameters": parameters or {}}]},
        headers={"Authorization": f"Basic {login}"},
    )
    if answer["errors"]:
        raise NotYet(str(answer["errors"]))
    rows = answer["results"][0]["data"]
    return rows[0]["row"] if rows else []


def ask_milvus(config: Config) -> None:
    answer = _http(f"http://{config['HOST']}:{config['MILVUS_PORT']}/v1/vector/collections", method="GET")
    if answer.get("code") != 200:
        raise NotYet(str(answer))


def _http(url: str, *, body: object = None, headers: dict[str, str] | None = None, method: str = "POST") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        # No proxy: an address of this machine is never behind one.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise NotYet(f"{error.code} {error.read(500).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise NotYet(str(error)) from error


def _signed(config: Config, method: str, host: str, path: str) -> dict[str, str]:
    """AWS signature version 4 of a request without a body (the "Signature calculations" page of the S3 reference)."""
    now = datetime.datetime.now(datetime.UTC)
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    empty = hashlib.sha256(b"").hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    request = f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{moment}\n\n{signed}\n{empty}"
    scope = f"{day}/us-east-1/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{config['MINIO_SECRET_KEY']}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    credential = f"Credential={config['MINIO_ACCESS_KEY']}/{scope}"
    return {
        "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={signed}, Signature={key.hex()}",
        "x-amz-date": moment,
        "x-amz-content-sha256": empty,
    }
