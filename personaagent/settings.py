"""Process-wide settings, from the environment or a ``.env`` file. What differs by run is in ``context.py``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from platformdirs import user_config_path, user_data_path
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SigningAlgorithm = Literal[  # asymmetric only: what a server needs to verify can never sign
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]

# a person's own settings, for every folder (`personaagent config`); PERSONAAGENT_CONFIG names another file
OWN_SETTINGS = Path(os.environ.get("PERSONAAGENT_CONFIG") or user_config_path("personaagent") / "settings.env")


class Settings(BaseSettings):
    """Every field is set by ``PERSONAAGENT_<FIELD>`` unless it names another variable.

    The environment comes first, then the folder's ``.env``, then ``OWN_SETTINGS``.
    """

    model_config = SettingsConfigDict(
        env_prefix="PERSONAAGENT_", env_file=(OWN_SETTINGS, ".env"), extra="ignore", populate_by_name=True, frozen=True,
        env_ignore_empty=True,  # compose passes what is unset as ""
    )  # fmt: skip

    # where data lives
    home: Path = Field(default_factory=lambda: user_data_path("personaagent"), description="data folder")
    database_url: SecretStr | None = Field(
        None, validation_alias=AliasChoices("DATABASE_URL", "PERSONAAGENT_DATABASE_URL"),
        description="ledger on Postgres instead of SQLite in the data folder",
    )  # fmt: skip
    qdrant_url: str | None = Field(
        None, validation_alias=AliasChoices("QDRANT_URL", "PERSONAAGENT_QDRANT_URL"),
        description="Qdrant server or cluster instead of the embedded engine",
    )  # fmt: skip
    qdrant_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("QDRANT_API_KEY", "PERSONAAGENT_QDRANT_API_KEY"),
        description="key of that server",
    )  # fmt: skip
    qdrant_timeout_s: float = Field(5.0, gt=0, description="seconds that a Qdrant request may take")

    # models
    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", description="key of the endpoint; any text for a local one"
    )
    openai_base_url: str | None = Field(
        None, validation_alias="OPENAI_BASE_URL", description="an OpenAI-compatible endpoint; unset: OpenAI's own"
    )
    model: str = Field("gpt-4o-mini", description="model of every role that names none, when an endpoint is set")
    agent_model: str | None = Field(None, description="model that answers the user")
    simulator_model: str | None = Field(None, description="model that answers past interactions again")
    critic_model: str | None = Field(None, description="model that writes the textual loss")
    editor_model: str | None = Field(None, description="model that rewrites the persona")
    summarizer_model: str | None = Field(None, description="model that makes facts of interactions")
    embedding_model: str | None = Field(None, description="embedding model of the endpoint; unset: the embedded one")
    embedding_dim: int = Field(1536, gt=0, description="dimension of embedding_model's vectors")
    embedded_gguf: Path | None = Field(None, description="any other GGUF file for the embedded model")
    embedded_context: int = Field(4096, ge=1024, description="tokens of context of the embedded model")
    embedded_answer_tokens: int = Field(120, ge=16, description="longest answer in free text of the embedded model")
    model_context: int | None = Field(
        None, ge=512, description="tokens of the models' context; unset: asked of the endpoint, or learnt from it"
    )
    tool_calling: Literal["auto", "on", "off"] = Field(
        "auto", description="auto: by how the endpoint's model calls tools, off embedded"
    )
    model_timeout_s: float = Field(120.0, gt=0, description="seconds that a model call may take")
    model_retries: int = Field(2, ge=0, description="retries of a failed model call")
    max_concurrency: int = Field(8, ge=1, description="model calls of one alignment at once")

    # who is asking, on a server
    auth: Literal["dev", "api_key", "jwt"] = Field("dev", description="how a server tells who is asking")
    api_keys_file: Path | None = Field(
        None, description="file of hashed API keys; unset: `api_keys.jsonl` in the data folder"
    )
    jwt_issuer: str | None = Field(None, description="issuer (`iss`) that a token must name")
    jwt_audience: str | None = Field(None, description="audience (`aud`) that a token must name")
    jwt_jwks_url: str | None = Field(None, description="where the issuer publishes its signing keys (JWKS)")
    jwt_public_key_file: Path | None = Field(None, description="PEM public key of the issuer, where there is no JWKS")
    jwt_algorithms: tuple[SigningAlgorithm, ...] = Field(
        ("RS256", "PS256", "ES256", "EdDSA"), description="signature algorithms that are accepted, as a JSON list"
    )
    jwt_user_claim: str = Field("sub", min_length=1, description="claim of a token that is the user id")
    jwt_leeway_s: float = Field(30.0, ge=0, le=300, description="seconds by which clocks may differ")
    jwt_jwks_cache_s: float = Field(
        600.0, gt=0, description="seconds that fetched signing keys are used before a refresh"
    )
    studio_access: Literal["auto", "on", "off"] = Field("auto", description="auto: on in dev, off otherwise")
    allowed_hosts: frozenset[str] | None = Field(
        None, description="host names that a server answers as, outside of development, as a JSON list; unset: any"
    )
    webhook_hosts: frozenset[str] | None = Field(
        None,
        description="hosts that webhooks may go to although they are not public, as a JSON list; "
        "the `webhooks` of `langgraph.json` must allow them too",
    )
    session_secret: SecretStr | None = Field(
        None, min_length=32, description="signs the page's cookies; unset: one is made and kept in the data folder"
    )
    session_minutes: int = Field(60, gt=0, le=1_440, description="minutes after which the page asks to sign in again")

    # limits of a turn
    max_query_chars: int = Field(32_000, gt=0, description="longest message that is read")
    max_steps: int = Field(6, ge=1, description="model calls of one turn")
    max_tool_result_chars: int = Field(4_000, gt=0, description="longer tool results are cut, with a note")

    # limits of a user on a server; 0: no limit
    turns_per_minute: int = Field(120, ge=0, description="turns that a user may begin within a minute")
    concurrent_turns: int = Field(8, ge=0, description="turns of a user that may be answered at once")
    feedback_per_minute: int = Field(240, ge=0, description="feedback that a user may give within a minute")
    requests_per_minute: int = Field(600, ge=0, description="requests of a user to the page and other own routes")
    pending_runs: int = Field(32, ge=0, description="runs of a user that may wait to be carried out, also in one batch")
    crons_per_user: int = Field(10, ge=0, description="crons that a user may have at once")
    limits_folder: Path | None = Field(None, description="where processes of one machine count requests together")
    max_request_bytes: int = Field(2_000_000, ge=0, description="longest body of a request to the server")
    max_upload_bytes: int = Field(
        200_000_000, ge=0, description="longest file of a history that the page takes; 0: any"
    )

    # operation
    log_salt: SecretStr | None = Field(
        None, description="salt of the user hashes in logs and traces; unset: a new one each time a process starts"
    )
    trace_content: Literal["masked", "full", "none"] = Field(
        "masked", description="what of texts traces may carry out of the process"
    )
    prompt_hub: str | None = Field(
        None, pattern=r"^[\w-]+(/[\w-]*)?$", description="prefix of the prompts' names in LangSmith's hub; unset: files"
    )
    prompt_hub_frame: bool = Field(False, description="take the safety frame from the hub too")
    prices: dict[Literal["default", "agent", "simulator", "critic", "editor", "summarizer"], tuple[float, float]] = (
        Field({}, description="money for a million input and output tokens by role or default, for traces, as JSON")
    )

    # tools
    deployment_tools: frozenset[str] | None = Field(
        None, description="tools, scopes or prefixes like `time__*` that this deployment grants; unset: all"
    )
    tools_file: Path | None = Field(None, description="JSON file of MCP servers and of users' own files")
    wikipedia_pages: Path | None = Field(None, description="folder of recorded pages instead of the live Wikipedia")
    searxng_url: str | None = Field(None, description="SearXNG instance for the web search tool; unset: no web search")

    # memory and persona
    persona_token_budget: int = Field(600, gt=0, description="longest persona, about 4 characters a token")
    profile_token_budget: int = Field(400, gt=0, description="longest profile that is shown to the model")
    recency_half_life_days: float = Field(180.0, gt=0, description="0.5 weight at this age in the fused score")

    # alignment
    align_after: int = Field(3, ge=1, description="new labels after which alignment is due")
    align_by: Literal["server", "worker"] = Field(
        "server",
        description="who carries out background alignments: the server itself, or `personaagent worker` processes "
        "(needs `QDRANT_URL`)",
    )
    align_delay_s: float = Field(2.0, ge=0, description="debounce: labels that come within it share one alignment")
    align_daily_calls: int = Field(2_000, ge=0, description="model calls of alignment a user and day")
    align_daily_tokens: int = Field(2_000_000, ge=0, description="tokens of alignment a user and day")
    align_seconds: float | None = Field(
        None,
        ge=0,
        description="seconds of one alignment; unset: 180 for a model on this machine, else 600; 0: no limit",
    )
    align_calls: int = Field(120, ge=0, description="model calls of one alignment; 0: no limit")
    align_readings: int = Field(
        8, ge=0, description="model calls of one alignment that read interactions into semantic memory; 0: none"
    )
    align_answer_tokens: int = Field(
        512, ge=16, description="longest answer of a simulation; it gets twice the truth's tokens and 32 up to this"
    )
    gate_margin: float = Field(0.01, ge=0, le=1, description="mean loss by which a candidate must win")
    gate_confidence: float = Field(
        0.95, ge=0.5, lt=1, description="1 - the chance that a version is ever replaced by one that is no better"
    )
    approve_edits: bool = Field(False, description="ask before a persona is committed; without a thread none is")
    implicit_by_model: bool = Field(False, description="a model reads, in alignments, how the user took past answers")
