"""Prometheus and Alertmanager as the product ships them, pointed at the processes of a test; alerts go to a webhook of ours."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from tests.stack.fleet import ROOT, eventually, free_port

SHIPPED = ROOT / "infrastructure" / "prometheus"


@dataclass(frozen=True)
class Notice:
    """An alert as it arrived. at: time.monotonic()."""

    name: str
    status: str
    at: float
    annotations: Mapping[str, str]


class Webhook:
    """Whom Alertmanager tells."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Webhook:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, name: str, status: str, timeout_s: float) -> Notice:
        """The first of that kind."""

        def found() -> list[Notice]:
            return [notice for notice in self.notices if (notice.name, notice.status) == (name, status)]

        eventually(lambda: bool(found()), f"no {status} {name} came, but {self.notices}", timeout_s)
        return found()[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in told["alerts"]:
                    notice = Notice(alert["labels"]["alertname"], alert["status"], time.monotonic(), alert["annotations"])
                    webhook.notices.append(notice)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


class Watchers:
    """targets: host:port by job. A context manager."""

    def __init__(self, folder: Path, targets: Mapping[str, str], webhook: Webhook) -> None:
        self._folder, self._targets, self._webhook = folder, targets, webhook
        self._stack = ExitStack()
        self.port, self._alertmanager = free_port(), free_port()

    def __enter__(self) -> Watchers:
        prometheus, alertmanager = self._configured()
        self._start(
            "prometheus-alertmanager",
            f"--config.file={alertmanager}",
            f"--storage.path={self._folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self._alertmanager}",
            "--cluster.listen-address=",
        )
        self._start(
            "prometheus",
            f"--config.file={prometheus}",
            f"--storage.tsdb.path={self._folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )
        eventually(self._answer, "Prometheus or Alertmanager did not start", 30)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def ask(self, path: str, **params: str) -> Any:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", params=params, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[Any]:
        return list(self.ask("query", query=expression)["result"])

    def metric_names(self) -> set[str]:
        return set(self.ask("label/__name__/values"))

    def _configured(self) -> Iterator[Path]:
        prometheus = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
        prometheus["rule_files"] = [str(SHIPPED / "rules" / "*.yml")]
        prometheus["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{self._alertmanager}"]}]}]
        jobs = [job for job in prometheus["scrape_configs"] if job["job_name"] in self._targets]
        for job in jobs:
            job.pop("dns_sd_configs", None)
            job["static_configs"] = [{"targets": [self._targets[job["job_name"]]]}]
        prometheus["scrape_configs"] = jobs
        alertmanager = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())
        alertmanager["receivers"][0]["webhook_configs"] = [{"url": self._webhook.url}]
        for name, told in (("prometheus", prometheus), ("alertmanager", alertmanager)):
            path = self._folder / f"{name}.yml"
            path.write_text(yaml.safe_dump(told))
            yield path

    def _start(self, *command: str) -> None:
        log = self._stack.enter_context((self._folder / f"{command[0]}.log").open("ab"))
        process = self._stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        self._stack.callback(process.terminate)

    def _answer(self) -> bool:
        try:
            asked = [httpx.get(f"http://127.0.0.1:{port}/-/ready", trust_env=False) for port in (self.port, self._alertmanager)]
        except httpx.TransportError:
            return False
        return all(answer.is_success for answer in asked)
