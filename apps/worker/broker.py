"""The Celery app: queues, and how it stands a Redis that comes and goes. It carries no work, only word that there is some."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from celery import Celery
from celery.schedules import crontab
from kombu import Queue

from localmind.errors import ConfigurationError
from localmind.settings import Settings

QUEUES = ("ingestion", "maintenance", "podcast")
WAKE, RECONCILE, REBUILD = "ingestion.wake", "maintenance.reconcile", "maintenance.rebuild"

WAKE_EXPIRES_S = 10
"""Workers look by themselves every second: an older word is no news."""

CONNECT_TIMEOUT_S = 2
ANSWER_TIMEOUT_S = 10

NIGHTLY = crontab(hour="3", minute="17")


def make_app(settings: Settings) -> Celery:
    """Connects to nothing. Raises ConfigurationError without REDIS_URL."""
    url = settings.redis_url.get_secret_value()
    if not url:
        raise ConfigurationError("A worker needs REDIS_URL, as the service does.", hint="Set REDIS_URL, or do without workers.")
    app = Celery("localmind", broker=url, set_as_current=False)
    app.conf.update(
        task_queues=[Queue(name) for name in QUEUES],
        task_default_queue="maintenance",
        task_create_missing_queues=False,
        task_routes={"ingestion.*": {"queue": "ingestion"}, "maintenance.*": {"queue": "maintenance"}, "podcast.*": {"queue": "podcast"}},
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # what became of work stands in the catalog
        task_acks_late=False,
        task_store_errors_even_if_ignored=False,
        timezone="UTC",
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_proc_alive_timeout=30,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: the jobs table is worked off meanwhile
        broker_connection_timeout=CONNECT_TIMEOUT_S,
        broker_pool_limit=1,
        broker_transport_options={
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_timeout": ANSWER_TIMEOUT_S,
            "socket_keepalive": True,
            "health_check_interval": ANSWER_TIMEOUT_S,
        },
        beat_schedule={"reconcile": {"task": RECONCILE, "schedule": NIGHTLY, "options": {"expires": 3600}}},
        beat_schedule_filename=str(settings.data_dir / "beat-schedule"),
    )
    if url.startswith("rediss:"):
        app.conf.broker_use_ssl = _tls(url, settings.tls_ca_file)
    return app


def _tls(url: str, ca_file: str) -> dict[str, Any]:
    """What the address says in redis-py's words (?ssl_ca_certs=...&ssl_cert_reqs=none), which Celery does not read there."""
    given = {name: value for name, value in parse_qsl(urlsplit(url).query) if name.startswith("ssl_")}
    checks = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL}.get(given.pop("ssl_cert_reqs", ""), ssl.CERT_REQUIRED)
    return {"ssl_cert_reqs": checks} | ({"ssl_ca_certs": ca_file} if ca_file else {}) | given
