"""Statistics, checks and repair."""

from __future__ import annotations

from fastapi import APIRouter

from apps.backend.access import Asker, Operator, Reader
from apps.backend.dependencies import Mind, ServiceDep
from apps.backend.schemas.common import problems
from apps.backend.schemas.operations import CheckOut, DoctorOut, RebuildOut, ReconcileIn, ReconcileOut, StatsOut
from apps.backend.service import State

router = APIRouter(prefix="/api/v1", tags=["maintenance"])


@router.get("/stats", responses=problems())
def stats(mind: Mind, tenant: Reader, who: Asker) -> StatsOut:
    """What is in the stores, and, for who looks after the service, how much room all of it takes."""
    found = StatsOut.model_validate(mind.maintenance.stats(tenant))
    # The stores' sizes are those of all tenants together: who watched them would learn when others put something in.
    return found if who.is_operator else found.model_copy(update={"disk_bytes": {}})


@router.post("/maintenance/reconcile", responses=problems())
def reconcile(mind: Mind, _: Operator, body: ReconcileIn) -> ReconcileOut:
    """Compare catalog, files, vectors and graph, and put right what differs, unless `check`."""
    mind.audit.maintained("reconcile", fix=not body.check)
    return ReconcileOut.model_validate(mind.maintenance.reconcile(fix=not body.check))


@router.post("/maintenance/rebuild", responses=problems(_409="Documents are being ingested."))
def rebuild(mind: Mind, _: Operator) -> RebuildOut:
    """Make vectors, text index and graph anew from the catalog; no LLM is asked. Answers when it is done."""
    mind.audit.maintained("rebuild")
    return RebuildOut.model_validate(mind.maintenance.rebuild())


@router.get("/doctor", responses=problems())
def doctor(service: ServiceDep, _: Operator) -> DoctorOut:
    """Look at everything that is needed, and say how to mend what is wrong."""
    from localmind.operations.doctor import examine

    opened = service.mind if service.state is State.READY else None
    return DoctorOut(checks=[CheckOut.model_validate(one) for one in examine(service.settings, opened=opened)])
