"""The catalog's tables: the one truth, on SQLite and PostgreSQL alike. Migrations make them; a test holds both together.

Chunk rows are staged with `since` = the version being ingested and become visible when `source.version` reaches it:
see Chunks.visible. Indexes begin with the tenant and go on to what is looked up: SQLite's planner, without statistics, takes an
index on the tenant alone for as good as any, and reads all of it.
`pk` columns are for joins inside the database; `id` columns are what the product speaks of.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

BigKey = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Json = sa.JSON()
Time = sa.Float()  # seconds since 1970, UTC: the same on both engines, and it sorts

tenant = sa.Table(
    "tenant",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

source = sa.Table(
    "source",
    metadata,
    sa.Column("pk", BigKey, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("uri", sa.Text),
    sa.Column("kind", sa.String(32), nullable=False),  # file, text, url, guide, archive, part
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("tags", Json, nullable=False),
    sa.Column("parent_id", sa.String(64)),
    sa.Column("added_by", sa.String(64)),  # the account; null: nobody who was logged in
    sa.Column("used_at", Time),  # by the day: when it was last found or cited; null: not since that is kept
    sa.Column("version", sa.Integer, nullable=False),  # the one that search sees; 0: none yet
    sa.Column("latest", sa.Integer, nullable=False),  # the newest accepted
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("deleted_at", Time),
)
sa.Index("source_by_uri", source.c.tenant, source.c.uri, unique=True)
sa.Index("source_by_parent", source.c.tenant, source.c.parent_id)
# A tenant's documents are counted, and below its bytes and chunks summed, from the index alone.
sa.Index("source_by_deletion", source.c.tenant, source.c.deleted_at)
# Without logins they have no entries, and cost nothing. PostgreSQL and SQLite take the same condition.
_HAS_ADDER = source.c.added_by.is_not(None)
sa.Index("source_by_adder", source.c.added_by, source.c.tenant, postgresql_where=_HAS_ADDER, sqlite_where=_HAS_ADDER)

source_tag = sa.Table(
    "source_tag",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("tag", sa.String(200), primary_key=True),
    sa.Column("source_id", sa.String(64), primary_key=True),
)

sa.Index("source_tag_by_source", source_tag.c.tenant, source_tag.c.source_id)

revision = sa.Table(  # one content of a source
    "revision",
    metadata,
    sa.Column("source_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("blob_key", sa.String(64), nullable=False),
    sa.Column("filename", sa.Text),
    sa.Column("media_type", sa.String(128), nullable=False),  # "" until a reader has looked
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("document_key", sa.String(64)),  # blob with the extracted document, once read
    sa.Column("pages", sa.Integer),
    sa.Column("chars", sa.BigInteger, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False),  # how many it should have, once chunked
    sa.Column("notes", Json, nullable=False),
    sa.Column("partial", sa.Boolean, nullable=False),  # pages without text: the notes say which
    sa.Column("missing", sa.Integer, nullable=False),  # chunks that an LLM has yet to extract, or gave up
    sa.Column("waits_until", Time),  # a budget stopped their extraction: it goes on by itself then
    sa.Column("entities", sa.Integer, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)
sa.Index("revision_by_hash", revision.c.tenant, revision.c.content_hash)
sa.Index("revision_by_blob", revision.c.tenant, revision.c.blob_key)
sa.Index("revision_by_document", revision.c.tenant, revision.c.document_key)
sa.Index("revision_by_source", revision.c.tenant, revision.c.source_id, revision.c.version)
sa.Index("revision_by_size", revision.c.tenant, revision.c.size_bytes, revision.c.chunks)

# Of the few that wait for a budget, those whose time has come.
sa.Index("revision_by_wait", revision.c.waits_until)

chunk = sa.Table(
    "chunk",
    metadata,
    sa.Column("pk", BigKey, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("source_id", sa.String(64), nullable=False),
    sa.Column("since", sa.Integer, nullable=False),  # first version that has it; invisible until source.version >= since
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("page", sa.Integer),
    sa.Column("breaks", Json, nullable=False, server_default="[]"),  # where in the text each following page begins
    sa.Column("heading", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
sa.Index("chunk_by_source", chunk.c.source_id, chunk.c.ordinal)

extraction = sa.Table(  # cache of costly extractions: the same text is never paid for twice
    "extraction",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("text_hash", sa.String(64), primary_key=True),
    sa.Column("extractor", sa.String(128), primary_key=True),
    sa.Column("result", Json, nullable=False),
)

spending = sa.Table(  # what an LLM cost a tenant, its spaces together, by day (UTC): what a budget is held against
    "spending",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),  # 2026-01-31
    sa.Column("model", sa.String(128), primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost", sa.Float, nullable=False),
)

usage = sa.Table(  # what a tenant used, its spaces together, by day (UTC); what an LLM cost stands in spending
    "usage",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("kind", sa.String(32), primary_key=True),  # requests, searches, ...; see localmind/limits/usage.py
    sa.Column("amount", sa.BigInteger, nullable=False),
)

quota = sa.Table(  # limits that a tenant has of its own, in the place of the settings'
    "quota",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
)

entity = sa.Table(
    "entity",
    metadata,
    sa.Column("pk", BigKey, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),  # of tenant and key: a key is looked up by it
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("key", sa.Text, nullable=False),  # entity_key(name)
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("mentions", sa.Integer, nullable=False),
    sa.Column("block", sa.String(64), nullable=False, server_default=""),  # names that may be spellings of one thing share it
)
sa.Index("entity_by_block", entity.c.tenant, entity.c.block)
# Also what a list sorts and searches by, so that neither reads the rows that it does not show.
sa.Index("entity_by_mentions", entity.c.tenant, entity.c.mentions.desc(), entity.c.key)

mention = sa.Table(
    "mention",
    metadata,
    sa.Column("chunk_pk", BigKey, primary_key=True),
    sa.Column("entity_pk", BigKey, primary_key=True),
    sa.Column("weight", sa.Float, nullable=False),
    sa.Column("description", sa.Text),  # the chunk's own, so that an entity's does not outlive the chunk that gave it
    sqlite_with_rowid=False,
)
# The strongest mentions of an entity that is everywhere are read without the rest.
sa.Index("mention_by_entity", mention.c.entity_pk, mention.c.weight.desc(), mention.c.chunk_pk)

relation = sa.Table(
    "relation",
    metadata,
    sa.Column("pk", BigKey, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("source_pk", BigKey, nullable=False),
    sa.Column("target_pk", BigKey, nullable=False),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("weight", sa.Float, nullable=False),  # summed over its evidence
    sa.Column("chunks", sa.Integer, nullable=False),  # how many chunks say so: it goes with the last
)
sa.Index("relation_by_ends", relation.c.source_pk, relation.c.target_pk, relation.c.type, unique=True)
# The heaviest relations of an entity that has many are read without the rest, and a path without any row.
sa.Index("relation_by_source", relation.c.source_pk, relation.c.weight.desc(), relation.c.target_pk)
sa.Index("relation_by_target", relation.c.target_pk, relation.c.weight.desc(), relation.c.source_pk)

evidence = sa.Table(  # which chunks say that a relation is so
    "evidence",
    metadata,
    sa.Column("chunk_pk", BigKey, primary_key=True),
    sa.Column("relation_pk", BigKey, primary_key=True),
    sa.Column("weight", sa.Float, nullable=False),
    sa.Column("description", sa.Text),
    sqlite_with_rowid=False,
)

# Derived from the graph, and made anew from it: not moved, not backed up for its own sake.
community = sa.Table(
    "community",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("level", sa.Integer, nullable=False),  # 0: the coarsest
    sa.Column("parent_id", sa.String(64)),
    sa.Column("size", sa.Integer, nullable=False),  # entities, those of finer communities too
    sa.Column("mentions", sa.Integer, nullable=False),  # of all of these: by them a list is sorted
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("entities", Json, nullable=False),  # the most central: [id, name, how central]
    sa.Column("sources", Json, nullable=False),  # what the summary stands on: [chunk id, start, end] in the chunk's text
    sa.Column("made_by", sa.String(128), nullable=False),  # "" without an LLM, else model and prompt
    sa.Column("drift", sa.Integer, nullable=False),  # members that came or went since an LLM wrote the summary
    sa.Column("vector", sa.LargeBinary, nullable=False),  # float32, of title, summary and names; empty: none yet
    sa.Column("updated_at", Time, nullable=False),
)
sa.Index("community_by_mentions", community.c.tenant, community.c.level, community.c.mentions.desc(), community.c.id)

community_member = sa.Table(
    "community_member",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("entity_id", sa.String(64), primary_key=True),
    sa.Column("community_id", sa.String(64)),  # the finest that has it; null: none
    sa.Column("mentions", sa.Integer, nullable=False),  # as they were then: another count has changed since
    sqlite_with_rowid=False,
)
sa.Index("community_member_by_community", community_member.c.community_id, community_member.c.entity_id)

community_state = sa.Table(
    "community_state",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),  # counts up with every change
    sa.Column("moved", sa.Integer, nullable=False),  # entities that changed since all communities were last found anew
    sa.Column("owner", sa.String(64)),
    sa.Column("lease_until", Time, nullable=False),
)

alias = sa.Table(  # a name that means the same as another: a forest of merges; see localmind/graph/aliases.py
    "alias",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),  # entity_key of the name
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("into_key", sa.Text, nullable=False),  # what it was merged into
    sa.Column("root_key", sa.Text, nullable=False),  # what that is part of by now: the entity's key
    sa.Column("root_name", sa.Text, nullable=False),
    sa.Column("why", sa.String(16), nullable=False),  # abbreviation, name, context, llm, person
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("by", sa.String(64), nullable=False),  # machine, or a person
    sa.Column("at", Time, nullable=False),
)
sa.Index("alias_by_root", alias.c.tenant, alias.c.root_key)

apart = sa.Table(  # two names that are not to be merged, the lesser first
    "apart",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("other", sa.Text, primary_key=True),
    sa.Column("by", sa.String(64), nullable=False),
    sa.Column("at", Time, nullable=False),
)
sa.Index("apart_by_other", apart.c.tenant, apart.c.other)

spelling = sa.Table(  # chunks that name an entity by an alias, so that a split finds them
    "spelling",
    metadata,
    sa.Column("chunk_pk", BigKey, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("root_key", sa.Text, nullable=False),  # what the graph was told it is
    sqlite_with_rowid=False,
)
sa.Index("spelling_by_key", spelling.c.tenant, spelling.c.key)

definition = sa.Table(  # chunks that say what an abbreviation stands for
    "definition",
    metadata,
    sa.Column("chunk_pk", BigKey, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("into_key", sa.Text, primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("into_name", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("definition_by_key", definition.c.tenant, definition.c.key)

unsettled = sa.Table(  # names that are to be looked at: merged, parted, or written anew where they stand
    "unsettled",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("name", sa.Text),  # of an entity that comes back
    sa.Column("marks", sa.Integer, nullable=False),  # how often: a mark set while the name was being looked at stays
)

job = sa.Table(
    "job",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),  # ingest, delete
    sa.Column("source_id", sa.String(64)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("stage", sa.String(16)),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("error", Json),
    sa.Column("usage", Json),  # what an LLM cost it so far
    sa.Column("request_id", sa.String(64)),  # that queued it; null: no request did
    sa.Column("traceparent", sa.String(55)),  # of that request's span; null: it was not traced
    sa.Column("attempts", sa.Integer, nullable=False),  # times a worker took it up since it last got on
    sa.Column("failures", sa.Integer, nullable=False),  # errors worth a retry, so far
    sa.Column("priority", sa.Integer, nullable=False),  # lower goes first
    sa.Column("cancel", sa.Boolean, nullable=False),
    sa.Column("owner", sa.String(64)),
    sa.Column("lease_until", Time),
    sa.Column("run_after", Time, nullable=False),  # 0: as soon as possible
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)
# A claim finds the next tenant, and its most urgent job, without reading the others; run_after is 0 for what may run now.
sa.Index("job_to_claim", job.c.status, job.c.run_after, job.c.tenant, job.c.priority, job.c.id)
sa.Index("job_by_source", job.c.tenant, job.c.source_id, job.c.id)
sa.Index("job_by_tenant", job.c.tenant, job.c.id)

worker = sa.Table(  # processes that work jobs off
    "worker",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("queues", Json, nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("seen_at", Time, nullable=False),
)

conversation = sa.Table(
    "conversation",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("user_id", sa.String(64)),  # who began it; null: nobody who was logged in
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)
sa.Index("conversation_by_tenant", conversation.c.tenant, conversation.c.updated_at)
_HAS_ASKER = conversation.c.user_id.is_not(None)
sa.Index("conversation_by_user", conversation.c.user_id, conversation.c.tenant, postgresql_where=_HAS_ASKER, sqlite_where=_HAS_ASKER)

message = sa.Table(
    "message",
    metadata,
    sa.Column("conversation_id", sa.String(64), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("citations", Json, nullable=False),
    sa.Column("user_id", sa.String(64)),  # who asked, at the answer too
    sa.Column("created_at", Time, nullable=False),
)
_HAS_AUTHOR = message.c.user_id.is_not(None)
sa.Index("message_by_user", message.c.user_id, message.c.tenant, postgresql_where=_HAS_AUTHOR, sqlite_where=_HAS_AUTHOR)

setting = sa.Table(  # facts about the stores, such as the embedding model of the vectors
    "setting",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", Json, nullable=False),
)
