"""Is it alive, is it ready, how is it: /livez, /readyz, /health, /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from apps.backend import config
from apps.backend.access import OPEN
from apps.backend.dependencies import ServiceDep
from apps.backend.schemas.common import problems
from apps.backend.schemas.operations import Alive, HealthOut, Ready
from apps.backend.service import Service, State
from localmind.errors import Unavailable
from localmind.operations import figures, shared_metrics
from localmind.operations.machine import Machine

router = APIRouter(tags=["health"], dependencies=[OPEN])


@router.get("/livez")
async def livez(service: ServiceDep) -> Alive:
    """The process answers."""
    return Alive(instance=service.instance)


@router.get("/readyz", responses=problems())
def readyz(service: ServiceDep) -> Ready:
    """It takes requests: 503 while it starts and when a required service is down."""
    if not service.mind.health.ready():
        raise Unavailable("A required service is down.", hint="/health says which.")
    return Ready()


@router.get("/health", responses={503: {"model": HealthOut, "description": "Starting, or a required service is down."}})
def health(service: ServiceDep, response: Response) -> HealthOut:
    """How the service and the engines under it are."""
    report = _report(service)
    if report.status in ("unhealthy", "starting"):
        response.status_code = 503
    return report


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text."}})
def prometheus(service: ServiceDep) -> Response:
    """Figures for Prometheus."""
    report = _report(service)
    is_ready = report.status in ("healthy", "degraded", "maintenance")
    asked = [figures.services({name: how == "healthy" for name, how in report.services.items()}, ready=is_ready)]
    asked += [service.mind.figures.collector()] if is_ready else []
    return Response(shared_metrics.text(*asked, Machine(service.settings.data_dir)), media_type=CONTENT_TYPE_LATEST)


def _report(service: Service) -> HealthOut:
    if service.state is not State.READY:
        status = "unhealthy" if service.state is State.FAILED else "starting"
        return HealthOut(status=status, version=config.version(), services=dict.fromkeys(service.missing, "unhealthy"))
    report = service.mind.health.check()
    services = {name: "healthy" if well else "unhealthy" for name, well in report.services.items()}
    is_closed = report.status in ("healthy", "degraded") and service.mind.maintenance_mode.is_on()
    return HealthOut.model_validate(
        {"status": "maintenance" if is_closed else report.status, "version": report.version, "services": services}
    )
