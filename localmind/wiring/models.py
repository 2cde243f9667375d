"""The models that the settings name: embedder, reranker, LLM, extractor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localmind.errors import ConfigurationError
from localmind.settings import Settings

if TYPE_CHECKING:
    from localmind.embedding.port import Embedder, Tokenizer
    from localmind.extraction.llm import LLMExtractor
    from localmind.extraction.port import Extractor
    from localmind.llm.port import LLM
    from localmind.retrieval.rerank import Reranker


def build_embedder(settings: Settings) -> tuple[Embedder, Tokenizer]:
    """The embedder that the settings name, and the tokenizer that chunks are measured with."""
    from localmind.embedding.onnx import LocalEmbedder

    local = LocalEmbedder(settings.data_dir / "models", runtime=settings.embedding_runtime, threads=settings.embedding_threads)
    if settings.embedding_provider == "openai":
        from localmind.embedding.openai import OpenAIEmbedder

        if not settings.embedding_base_url:
            raise ConfigurationError("EMBEDDING_PROVIDER=openai needs EMBEDDING_BASE_URL.", hint="Set it to the endpoint, with /v1.")
        remote = OpenAIEmbedder(
            settings.embedding_base_url,
            settings.embedding_api_key.get_secret_value(),
            settings.embedding_model,
            timeout_s=settings.llm_timeout_s,
        )
        return remote, local
    if settings.embedding_provider == "sentence-transformers":
        from localmind.embedding.sentence_transformers import SentenceTransformersEmbedder

        model = SentenceTransformersEmbedder(settings.embedding_model)
        return model, model
    if settings.embedding_model != local.model:
        raise ConfigurationError(
            f"The bundled embedding model is {local.model}, not {settings.embedding_model}.",
            hint="Set EMBEDDING_PROVIDER=sentence-transformers or openai for another model, or unset EMBEDDING_MODEL.",
        )
    return local, local


def build_reranker(settings: Settings) -> Reranker | None:
    """None for an empty RERANKER_MODEL."""
    if not settings.reranker_model:
        return None
    from localmind.retrieval.cross_encoder import CrossEncoderReranker

    return CrossEncoderReranker(settings.reranker_model)


def build_llm(settings: Settings) -> LLM | None:
    """The LLM that the settings name; None for LLM_MODEL=mock. Raises ConfigurationError."""
    if not settings.has_llm:
        return None
    key = settings.llm_api_key.get_secret_value()
    if settings.llm_provider == "anthropic":
        from localmind.llm.anthropic import AnthropicLLM

        return AnthropicLLM(settings.llm_base_url, key, settings.llm_model, timeout_s=settings.llm_timeout_s)
    from localmind.llm.openai import OpenAILLM

    if not settings.llm_base_url:
        raise ConfigurationError(f"LLM_MODEL={settings.llm_model} needs LLM_BASE_URL.", hint="Set it to the endpoint, with /v1.")
    return OpenAILLM(settings.llm_base_url, key, settings.llm_model, timeout_s=settings.llm_timeout_s)


def build_refiner(settings: Settings, llm: LLM | None, fallback: Extractor) -> LLMExtractor | None:
    """What asks the LLM for entities; None without one."""
    if llm is None:
        return None
    from localmind.extraction.llm import LLMExtractor

    return LLMExtractor(
        llm,
        concurrency=settings.llm_concurrency,
        fallback=fallback,
        types=settings.extraction_types,
        per_call=settings.extraction_chunks_per_call,
        context_tokens=settings.context_window,
    )
