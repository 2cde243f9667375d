"""Every setting, read once from the environment and `.env`. Nothing else in the product reads the environment."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from localmind.model import ENTITY_TYPES
from localmind.readers.addresses import allowed

MOST_TYPE_CHARS = 300


def default_data_dir() -> Path:
    return Path.home() / ".localmind"


class Settings(BaseSettings):
    """Names are the environment variables' in lower case. Unset servers mean the embedded engines."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, frozen=True)

    # --- where it runs
    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs logins and a strong SECRET_KEY.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    data_dir: Path = Field(default_factory=default_data_dir, description="Folder of the embedded engines, files and caches.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field((), description="Origins that browsers may call from, separated by commas.")
    seed_guides: bool = Field(True, description="Put the product's own guides into an empty knowledge base at first start.")
    web: bool = Field(True, description="Serve the web page at /.")

    # --- who may come in
    auth: Literal["auto", "required"] = Field(
        "auto", description="auto: no login while HOST is loopback, logins on any other address; required: logins everywhere."
    )
    secret_key: SecretStr = Field(SecretStr(""), description="Key for tokens, 32 random characters or more; needed where logins are.")
    secret_key_previous: SecretStr = Field(
        SecretStr(""), description="Earlier SECRET_KEYs, separated by commas: their tokens still hold while a new key takes over."
    )
    token_key_file: str = Field(
        "", description="PEM file of an RSA private key that signs access tokens (RS256); unset: SECRET_KEY (HS256)."
    )
    token_key_file_previous: str = Field("", description="PEM file of the RSA key before: its tokens still hold.")
    access_token_minutes: int = Field(15, ge=1, le=60, description="Time that an access token holds, in minutes.")
    refresh_token_days: int = Field(30, ge=1, le=365, description="Time that a login lasts without a new password, in days.")
    password_memory_kib: int = Field(65536, ge=8, le=4194304, description="Memory that hashing a password takes (argon2id), in KiB.")
    password_rounds: int = Field(3, ge=1, le=100, description="Passes over that memory.")
    oidc_issuer: str = Field("", description="OpenID Connect provider that people may log in by, as its issuer (https://...); unset: none.")
    oidc_client_id: str = Field("", description="What the provider knows this service as; needed with OIDC_ISSUER.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="The secret to that; unset: a public client.")
    oidc_scopes: str = Field(
        "openid email profile", pattern=r"^([\x21-\x7e]+ )*openid( [\x21-\x7e]+)*$", description="What is asked of the provider."
    )
    google_client_id: str = Field(
        "", description="Client id of a Google button, whose ID tokens POST /api/v1/auth/google takes; unset: none."
    )
    localmind_api_key: SecretStr = Field(SecretStr(""), description="API key that the command line sends.")
    localmind_admin_password: SecretStr = Field(
        SecretStr(""), description="Password that `localmind admin create-user` gives; unset: it asks for one."
    )
    localmind_space: str = Field("", description="Id of the space that the command line works in; unset: the tenant's default space.")

    # --- what is written down, and for how long
    audit_queries: Literal["plain", "hashed", "off"] = Field(
        "hashed", description="What the audit keeps of a query: its text, a hash under a secret of the person, or nothing."
    )

    consent_text: str = Field("", description="Text that people agree to before they come in, at /api/v1/auth/consent; unset: none.")

    # --- servers (unset: embedded)
    database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL URL of the catalog (postgresql+psycopg://...); unset: SQLite in DATA_DIR."
    )
    database_pool: int = Field(10, ge=2, le=500, description="Connections to PostgreSQL that a process keeps; as many again under load.")
    neo4j_uri: str = Field("", description="Neo4j address (bolt://..., bolt+s://... with TLS); unset: text and graph lie in the catalog.")
    neo4j_user: str = Field("neo4j", description="Neo4j user.")
    neo4j_password: SecretStr = Field(SecretStr(""), description="Neo4j password.")
    neo4j_database: str = Field("neo4j", description="Name of the database in Neo4j.")
    neo4j_pool: int = Field(20, ge=2, le=500, description="Most connections to Neo4j of a process.")
    neo4j_timeout_s: float = Field(5, gt=0.5, le=600, description="Longest time of a search in Neo4j, in seconds; a write may take 60.")
    cypher_queries: bool = Field(False, description="Offer POST /api/v1/graph/cypher: reading Cypher, where NEO4J_URI is set.")
    milvus_uri: str = Field("", description="Milvus address (http://..., https://... with TLS); unset: LanceDB in DATA_DIR.")
    milvus_token: SecretStr = Field(SecretStr(""), description="Milvus user and password (user:password), or an API key.")
    milvus_collection: str = Field(
        "sce_chunks", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,200}$", description="Name of the collection in Milvus that holds the vectors."
    )
    redis_url: SecretStr = Field(
        SecretStr(""),
        description="Redis that wakes workers (redis://:password@...; rediss://... with TLS); unset: worker threads in the service.",
    )
    minio_endpoint: str = Field("", description="S3 endpoint (http://..., https://... with TLS); unset: a folder in DATA_DIR.")
    minio_access_key: SecretStr = Field(SecretStr(""), description="S3 access key.")
    minio_secret_key: SecretStr = Field(SecretStr(""), description="S3 secret key.")
    minio_bucket: str = Field("localmind", min_length=3, max_length=63, description="S3 bucket; made when it is missing.")
    minio_region: str = Field("us-east-1", description="S3 region.")
    server_timeout_s: float = Field(30, gt=0.5, le=600, description="Longest wait for one answer of Milvus or S3, in seconds.")
    tls_ca_file: str = Field("", description="PEM file of the authority that signed the servers' certificates; unset: the system's.")
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Port on HOST at which a worker answers /metrics; 0: none.")

    watched_certificates: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses whose TLS certificates are watched besides those of the servers, as host or host:port, separated by commas:"
        " the public name of this service.",
    )

    # --- traces (OpenTelemetry; other OTEL_ variables are read by its SDK, from the environment alone)
    otel_exporter_otlp_endpoint: str = Field(
        "", description="OTLP/HTTP endpoint that takes traces (http://collector:4318); needs the extra tracing. Unset: no traces."
    )
    otel_exporter_otlp_headers: SecretStr = Field(SecretStr(""), description="Headers for it, as name=value, separated by commas.")
    otel_service_name: str = Field(
        "", description="Name of this process in traces; unset: localmind, or localmind-backend and localmind-worker on servers."
    )
    otel_traces_sampler: Literal[
        "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"
    ] = Field("parentbased_always_on", description="Which requests are traced; parentbased: as a client's traceparent says.")
    otel_traces_sampler_arg: float = Field(1, ge=0, le=1, description="Share of them, for the samplers with traceidratio.")

    # --- what may come in
    max_upload_mb: int = Field(100, ge=1, le=4096, description="Largest file that is accepted, in MB of 1,000,000 bytes.")
    reader_timeout_s: float = Field(600, gt=0, le=86400, description="Longest time a reader may take for one file, in seconds.")
    reader_stall_s: float = Field(30, gt=0, le=3600, description="Longest time a reader may take without getting on by a page, in seconds.")
    reader_memory_mb: int = Field(1024, ge=128, le=65536, description="Most memory a reader process may take, in MB.")
    readers: int = Field(1, ge=1, le=16, description="Reader processes that may run beside each other.")
    fetch_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts and networks that pages may be fetched from besides the open internet at ports 80 and 443, separated by commas:"
        " wiki.example, wiki.example:8080, 10.1.0.0/16.",
    )
    fetch_robots: bool = Field(True, description="Ask a site's robots.txt before a page is fetched, and keep to it.")
    ocr: Literal["auto", "off"] = Field("auto", description="auto: pages without text go through Tesseract where it is installed.")
    ocr_languages: str = Field("eng", pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$", description="Tesseract languages, joined by +.")

    # --- limits of each tenant, its spaces together (`localmind admin limits` gives one its own)
    quota_documents: int = Field(0, ge=0, le=10**9, description="Documents that a tenant may have. 0: no limit.")
    quota_storage_mb: int = Field(0, ge=0, le=10**9, description="MB of original files that a tenant may have. 0: no limit.")
    quota_chunks: int = Field(0, ge=0, le=10**12, description="Chunks that a tenant may have. 0: no limit.")
    quota_jobs: int = Field(0, ge=0, le=10**6, description="Documents of a tenant that may wait or be ingested at once. 0: no limit.")
    max_query_chars: int = Field(4000, ge=10, le=4000, description="Most characters of a search query.")
    max_message_chars: int = Field(10_000, ge=10, le=10_000, description="Most characters of a chat message.")

    # --- how often and how long (rates are for 60 seconds; 0: no limit)
    rate_limits: Literal["auto", "on", "off"] = Field("auto", description="auto: where logins are needed.")
    rate_limit_user: int = Field(600, ge=0, le=10**9, description="API requests of a user a minute, whatever they came with.")
    rate_limit_api_key: int = Field(600, ge=0, le=10**9, description="API requests with one API key a minute.")
    rate_limit_tenant: int = Field(6000, ge=0, le=10**9, description="API requests of a tenant a minute.")
    rate_limit_address: int = Field(
        60, ge=0, le=10**9, description="Logins and other requests without an account a minute, from one address (IPv6: one /64)."
    )
    rate_limit_chat: int = Field(60, ge=0, le=10**9, description="Chat messages of a user a minute.")
    rate_limit_upload: int = Field(300, ge=0, le=10**9, description="Requests of a user a minute that put documents in.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses and networks of reverse proxies, separated by commas: X-Forwarded-For and X-Forwarded-Proto count from these"
        " alone.",
    )
    request_timeout_s: float = Field(
        60,
        gt=0.1,
        le=86400,
        description="Longest time of a request, in seconds, and between two pieces of an upload; streams, uploads and maintenance may take"
        " longer, and a chat three LLM_TIMEOUT_S more.",
    )

    # --- chunks and vectors
    chunk_tokens: int = Field(
        256, ge=32, le=8192, description="Most tokens of a chunk with its heading, in the embedding model's tokenizer."
    )
    chunk_overlap_tokens: int = Field(
        24, ge=0, le=1024, description="Tokens that a chunk repeats of the one before where a section is cut."
    )
    embedding_provider: Literal["local", "sentence-transformers", "openai"] = Field(
        "local", description="local: the bundled model; sentence-transformers needs the extra; openai: EMBEDDING_BASE_URL."
    )
    embedding_model: str = Field("all-MiniLM-L6-v2", description="Name of the embedding model.")
    embedding_base_url: str = Field("", description="OpenAI-compatible embedding endpoint, with /v1; needed for EMBEDDING_PROVIDER=openai.")
    embedding_api_key: SecretStr = Field(SecretStr(""), description="Key for EMBEDDING_BASE_URL.")
    embedding_runtime: Literal["auto", "openvino", "onnxruntime"] = Field(
        "auto", description="auto: OpenVINO in bf16 where the CPU has it, else onnxruntime in int8."
    )
    embedding_threads: int = Field(0, ge=0, le=256, description="Cores for embedding; 0: all.")
    reranker_model: str = Field(
        "", description="Cross-encoder that reads the best hits again (needs the extra sentence-transformers); unset: none."
    )
    rerank_depth: int = Field(30, ge=1, le=50, description="Hits that RERANKER_MODEL reads, and never fewer than are asked for.")

    # --- the LLM
    llm_provider: Literal["openai", "anthropic"] = Field(
        "openai", description="Protocol of the LLM endpoint; openai covers Ollama, LM Studio, vLLM and the like."
    )
    llm_base_url: str = Field("", description="LLM endpoint, with /v1; needed unless LLM_MODEL=mock.")
    llm_api_key: SecretStr = Field(SecretStr(""), description="Key for LLM_BASE_URL; local servers need none.")
    llm_model: str = Field("mock", description="Name of the LLM; mock: none (keyphrases, extractive answers).")
    llm_timeout_s: float = Field(120, gt=0, le=3600, description="Longest wait for an LLM's answer, in seconds.")
    llm_concurrency: int = Field(2, ge=1, le=64, description="LLM calls at once.")
    context_window: int = Field(8192, ge=1024, le=10_000_000, description="Tokens that the LLM can take in.")
    extraction_types: Annotated[tuple[str, ...], NoDecode] = Field(
        ENTITY_TYPES, description="What the LLM takes an entity for where it fits, separated by commas; it may use other words."
    )
    extraction_chunks_per_call: int = Field(
        4, ge=1, le=32, description="Most chunks in one call for entities, as far as CONTEXT_WINDOW takes them with their answers."
    )
    llm_price_input: float = Field(0, ge=0, le=1_000_000, description="Price of a million tokens that the LLM reads, in your currency.")
    llm_price_output: float = Field(0, ge=0, le=1_000_000, description="Price of a million tokens that the LLM writes, in your currency.")
    llm_budget_tokens: int = Field(
        0,
        ge=0,
        le=10**15,
        description="Tokens that a tenant's documents and answers may cost a period; then documents wait, searchable, and answers quote."
        " 0: no limit.",
    )
    llm_budget_cost: float = Field(
        0, ge=0, le=10**9, description="Money that they may cost a period, by LLM_PRICE_INPUT and LLM_PRICE_OUTPUT. 0: no limit."
    )
    llm_budget_period: Literal["day", "month"] = Field("month", description="Period of the budgets, by the calendar in UTC.")

    # --- jobs
    job_attempts: int = Field(3, ge=1, le=100, description="Attempts before a job is failed.")
    job_lease_s: float = Field(30, gt=1, le=3600, description="Time after which a silent worker's job is taken over, in seconds.")

    @field_validator("cors_origins", "extraction_types", "fetch_allow", "trusted_proxies", "watched_certificates", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("extraction_types")
    @classmethod
    def _short(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """They stand in every prompt, and are paid for there."""
        if not value or sum(map(len, value)) > MOST_TYPE_CHARS or any(not type_.isprintable() for type_ in value):
            raise ValueError(f"one type or more, together at most {MOST_TYPE_CHARS} characters on one line")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Every page that somebody opens could read all documents with *."""
        for origin in value:
            if not re.fullmatch(r"https?://[^/*?#@\s]+", origin):
                raise ValueError(f"{origin!r} is no origin; write https://notes.example, and not *")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        """Whoever can change what the provider answers can log in as anybody."""
        if value and not re.fullmatch(r"https://[^?#@\s]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/[^?#@\s]*)?", value):
            raise ValueError(f"{value!r} is no issuer that can be trusted; write https://login.example (http only on this machine)")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _collector(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^?#@\s]+", value):
            raise ValueError(f"{value!r} is no OTLP/HTTP endpoint; write http://collector:4318")
        return value

    @field_validator("fetch_allow")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        allowed(value)
        return value

    @field_validator("watched_certificates")
    @classmethod
    def _endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?", each):
                raise ValueError(f"{each!r} is no address; write notes.example or notes.example:8443")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ipaddress.ip_network(each)
        return value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        """A shell expands ~, a .env file does not."""
        return value.expanduser().absolute()

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1_000_000

    @property
    def has_llm(self) -> bool:
        return self.llm_model != "mock"
