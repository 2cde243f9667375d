"""What routes ask for: the open product, ids of the right shape. Who asks is in access.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Path, Query, Request

from apps.backend.service import Service
from localmind.accounts.model import ApiKeyId, InvitationId, UserId
from localmind.errors import NotFound
from localmind.ids import is_id
from localmind.model import CommunityId, EntityId, JobId, SourceId, TenantId

if TYPE_CHECKING:
    from localmind.wiring import LocalMind
else:
    # FastAPI evaluates annotations at run time, and importing the composition root would take seconds.
    LocalMind = object

MAX_LIMIT = 200


async def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


async def _mind(request: Request) -> LocalMind:
    return (await _service(request)).mind


def _checked(value: str, what: str) -> str:
    """An id that can't be one is one that isn't there: the same answer, and no store is asked."""
    if not is_id(value):
        raise NotFound(f"There is no {what} {value[:64]!r}.")
    return value


async def _source_id(source_id: Annotated[str, Path(description="The source's id.")]) -> SourceId:
    return SourceId(_checked(source_id, "source"))


def source_filter(value: str | None) -> SourceId | None:
    """A source's id that a list is narrowed to."""
    return None if value is None else SourceId(_checked(value, "source"))


async def _job_id(job_id: Annotated[str, Path(description="The job's id.")]) -> JobId:
    return JobId(_checked(job_id, "job"))


async def _entity_id(entity_id: Annotated[str, Path(description="The entity's id.")]) -> EntityId:
    return EntityId(_checked(entity_id, "entity"))


async def _community_id(community_id: Annotated[str, Path(description="The community's id.")]) -> CommunityId:
    return CommunityId(_checked(community_id, "community"))


def community_query(value: str) -> CommunityId:
    """A community's id in the query."""
    return CommunityId(_checked(value, "community"))


def entity_query(value: str) -> EntityId:
    """An entity's id in the query."""
    return EntityId(_checked(value, "entity"))


async def _tenant_id(tenant_id: Annotated[str, Path(description="The tenant's id.")]) -> TenantId:
    return TenantId(_checked(tenant_id, "tenant"))


async def _space_id(space_id: Annotated[str, Path(description="The space's id.")]) -> TenantId:
    return TenantId(_checked(space_id, "space"))


async def _user_id(user_id: Annotated[str, Path(description="The user's id.")]) -> UserId:
    return UserId(_checked(user_id, "user"))


async def _api_key_id(key_id: Annotated[str, Path(description="The key's id.")]) -> ApiKeyId:
    return ApiKeyId(_checked(key_id, "API key"))


async def _invitation_id(invitation_id: Annotated[str, Path(description="The invitation's id.")]) -> InvitationId:
    return InvitationId(_checked(invitation_id, "invitation"))


async def _conversation_id(conversation_id: Annotated[str, Path(description="The conversation's id.")]) -> str:
    return _checked(conversation_id, "conversation")


ServiceDep = Annotated[Service, Depends(_service)]
Mind = Annotated[LocalMind, Depends(_mind)]
SourceIdPath = Annotated[SourceId, Depends(_source_id)]
JobIdPath = Annotated[JobId, Depends(_job_id)]
EntityIdPath = Annotated[EntityId, Depends(_entity_id)]
CommunityIdPath = Annotated[CommunityId, Depends(_community_id)]
ConversationIdPath = Annotated[str, Depends(_conversation_id)]
TenantIdPath = Annotated[TenantId, Depends(_tenant_id)]
SpaceIdPath = Annotated[TenantId, Depends(_space_id)]
UserIdPath = Annotated[UserId, Depends(_user_id)]
ApiKeyIdPath = Annotated[ApiKeyId, Depends(_api_key_id)]
InvitationIdPath = Annotated[InvitationId, Depends(_invitation_id)]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most items of the page.")]
Cursor = Annotated[str | None, Query(max_length=512, description="The `next_cursor` of the page before.")]
