"""Every setting, read once from the environment and `.env`, checked at start."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEVELOPMENT_SECRET = "development-only-secret-never-for-production"  # noqa: S105 - refused in production
MIN_SECRET_BYTES = 32
MAIL_FROM = r"^[^<>@\r\n]*<?[^\s<>@]+@[^\s<>@]+>?$"
BOOTSTRAP = "PARLOR_BOOTSTRAP_API_KEY"


class BadSettings(ValueError):
    """A setting is missing or wrong; the message names the variable."""


def _words(value: object) -> object:
    return (
        tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value
    )


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Numbers = Annotated[tuple[int, int, int], NoDecode, BeforeValidator(_words)]


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for word in value:
        try:
            ip_network(word, strict=False)
        except ValueError as error:
            raise BadSettings(f"networks like 10.0.0.0/8 are needed: {error}") from error
    return value


Networks = Annotated[Words, AfterValidator(_networks)]


def _named_numbers(value: object) -> object:
    """Read `name=1,other=2`."""
    if not isinstance(value, str):
        return value
    pairs = (word.partition("=") for word in value.split(",") if word.strip())
    return {name.strip(): number.strip() for name, _, number in pairs}


ClaimNames = Annotated[tuple[Literal["roles"], ...], NoDecode, BeforeValidator(_words)]
NamedNumbers = Annotated[dict[str, PositiveInt], NoDecode, BeforeValidator(_named_numbers)]
SamplerName = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
OptionalText = Annotated[str | None, BeforeValidator(_empty_is_none)]
OptionalNumber = Annotated[PositiveInt | None, BeforeValidator(_empty_is_none)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_empty_is_none)]
OptionalPath = Annotated[Path | None, BeforeValidator(_empty_is_none)]


class Settings(BaseSettings):
    """What Parlor is told from outside. `.env.example` says what each one means."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, case_sensitive=True)

    security_secret_key: OptionalSecret = Field(None, alias="SECURITY_SECRET_KEY")
    security_secret_key_file: OptionalPath = Field(None, alias="SECURITY_SECRET_KEY_FILE")
    security_private_keys: OptionalSecret = Field(None, alias="SECURITY_PRIVATE_KEYS")
    security_private_keys_file: OptionalPath = Field(None, alias="SECURITY_PRIVATE_KEYS_FILE")
    database_url: OptionalSecret = Field(None, alias="DATABASE_URL")
    database_url_file: OptionalPath = Field(None, alias="DATABASE_URL_FILE")
    migrate_url: OptionalSecret = Field(None, alias="PARLOR_MIGRATE_URL")
    migrate_url_file: OptionalPath = Field(None, alias="PARLOR_MIGRATE_URL_FILE")
    pgbouncer: bool = Field(False, alias="PARLOR_PGBOUNCER")
    redis_url: OptionalSecret = Field(None, alias="REDIS_URL")
    redis_url_file: OptionalPath = Field(None, alias="REDIS_URL_FILE")
    rabbitmq_url: OptionalSecret = Field(None, alias="RABBITMQ_URL")
    rabbitmq_url_file: OptionalPath = Field(None, alias="RABBITMQ_URL_FILE")

    env: Literal["development", "production", "test"] = Field("development", alias="PARLOR_ENV")
    public_url: OptionalText = Field(None, alias="PARLOR_PUBLIC_URL")
    docs: bool | None = Field(None, alias="PARLOR_DOCS")
    console: bool = Field(True, alias="PARLOR_CONSOLE")
    cors_origins: Words = Field((), alias="PARLOR_CORS_ORIGINS")
    namespace: str = Field("parlor", alias="PARLOR_NAMESPACE", pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    data_dir: Path = Field(Path(".parlor"), alias="PARLOR_DATA_DIR")
    pg_bin: OptionalPath = Field(None, alias="PARLOR_PG_BIN")
    migrate_on_start: bool = Field(False, alias="PARLOR_MIGRATE_ON_START")
    metrics: bool = Field(True, alias="PARLOR_METRICS")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", alias="PARLOR_LOG_LEVEL")

    access_ttl_s: int = Field(900, alias="PARLOR_ACCESS_TTL_S", ge=5, le=900)
    refresh_grace_s: int = Field(20, alias="PARLOR_REFRESH_GRACE_S", ge=0, le=120)
    token_claims: ClaimNames = Field((), alias="PARLOR_TOKEN_CLAIMS")
    bootstrap_api_key: OptionalSecret = Field(None, alias="PARLOR_BOOTSTRAP_API_KEY")
    bootstrap_api_key_file: OptionalPath = Field(None, alias="PARLOR_BOOTSTRAP_API_KEY_FILE")
    bcrypt_cost: int = Field(12, alias="PARLOR_BCRYPT_COST", ge=4, le=16)
    hide_accounts: bool = Field(False, alias="PARLOR_HIDE_ACCOUNTS")
    session_keep_days: int = Field(90, alias="PARLOR_SESSION_KEEP_DAYS", ge=1)

    smtp_url: OptionalSecret = Field(None, alias="PARLOR_SMTP_URL")
    smtp_url_file: OptionalPath = Field(None, alias="PARLOR_SMTP_URL_FILE")
    mail_dir: OptionalPath = Field(None, alias="PARLOR_MAIL_DIR")
    mail_from: OptionalText = Field(None, alias="PARLOR_MAIL_FROM", pattern=MAIL_FROM)

    trusted_proxies: Networks = Field((), alias="PARLOR_TRUSTED_PROXIES")
    throttle_scale: float = Field(1.0, alias="PARLOR_THROTTLE_SCALE", gt=0, le=1_000_000, allow_inf_nan=False)

    max_body_bytes: int = Field(1_048_576, alias="PARLOR_MAX_BODY_BYTES", ge=1024)
    header_timeout_s: float = Field(10, alias="PARLOR_HEADER_TIMEOUT_S", gt=0)
    sockets_per_user: int = Field(100, alias="PARLOR_SOCKETS_PER_USER", ge=1)
    subscriptions_per_socket: int = Field(200, alias="PARLOR_SUBSCRIPTIONS_PER_SOCKET", ge=1, le=1000)
    frames_per_s: int = Field(200, alias="PARLOR_FRAMES_PER_S", ge=1)
    database_pool: int = Field(10, alias="PARLOR_DATABASE_POOL", ge=2, le=200)

    lease_s: float = Field(60, alias="PARLOR_LEASE_S", ge=1)
    unready_s: float = Field(0, alias="PARLOR_UNREADY_S", ge=0, le=600)
    drain_s: float = Field(30, alias="PARLOR_DRAIN_S", ge=0)
    prefetch: Numbers = Field((64, 32, 8), alias="PARLOR_PREFETCH")
    kind_limits: NamedNumbers = Field(default_factory=dict, alias="PARLOR_KIND_LIMITS")
    worker_port: int | None = Field(None, alias="PARLOR_WORKER_PORT", ge=0, le=65535)
    task_keep_days: int = Field(30, alias="PARLOR_TASK_KEEP_DAYS", ge=1)
    dead_letter_keep_days: int = Field(90, alias="PARLOR_DEAD_LETTER_KEEP_DAYS", ge=1)
    login_keep_days: int = Field(180, alias="PARLOR_LOGIN_KEEP_DAYS", ge=30)
    message_keep_days: OptionalNumber = Field(None, alias="PARLOR_MESSAGE_KEEP_DAYS")
    publish_messages: bool = Field(False, alias="PARLOR_PUBLISH_MESSAGES")
    http_allow: Words = Field((), alias="PARLOR_HTTP_ALLOW")
    generator_url: OptionalText = Field(None, alias="PARLOR_GENERATOR_URL")
    trust_producers: bool = Field(False, alias="PARLOR_TRUST_PRODUCERS")
    producer_kinds: Annotated[
        tuple[str, ...] | None, NoDecode, BeforeValidator(_empty_is_none), BeforeValidator(_words)
    ] = Field(None, alias="PARLOR_PRODUCER_KINDS")

    # What OpenTelemetry's specification names; the SDK reads others itself (OTEL_BSP_…, OTEL_RESOURCE_ATTRIBUTES).
    otel_endpoint: OptionalText = Field(None, alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    otel_traces_endpoint: OptionalText = Field(None, alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    otel_headers: OptionalSecret = Field(None, alias="OTEL_EXPORTER_OTLP_HEADERS")
    otel_protocol: Literal["http/protobuf"] = Field("http/protobuf", alias="OTEL_EXPORTER_OTLP_PROTOCOL")
    otel_service_name: str = Field("parlor", alias="OTEL_SERVICE_NAME", min_length=1)
    otel_sampler: SamplerName = Field("parentbased_always_on", alias="OTEL_TRACES_SAMPLER")
    otel_ratio: float = Field(1.0, alias="OTEL_TRACES_SAMPLER_ARG", ge=0, le=1)
    otel_traces_exporter: Literal["otlp", "none"] = Field("otlp", alias="OTEL_TRACES_EXPORTER")
    otel_disabled: bool = Field(False, alias="OTEL_SDK_DISABLED")
    trace_sql: bool = Field(False, alias="PARLOR_TRACE_SQL")

    @model_validator(mode="after")
    def _safe(self) -> Self:
        self._check_secrets()
        _ = self.bootstrap, self.traces_endpoint
        if min(self.prefetch) < 1:
            raise BadSettings("PARLOR_PREFETCH needs three numbers above 0: high,default,low")
        if "*" in self.cors_origins:
            raise BadSettings("PARLOR_CORS_ORIGINS lists origins; * would let every site in")
        return self

    def _check_secrets(self) -> None:
        """A short secret is guessed off-line from any one token, so none is taken anywhere."""
        if any(len(secret.encode()) < MIN_SECRET_BYTES for secret in self.secrets):
            raise BadSettings(f"SECURITY_SECRET_KEY must be random text of at least {MIN_SECRET_BYTES} bytes")
        if self.production and DEVELOPMENT_SECRET in self.secrets:
            raise BadSettings("SECURITY_SECRET_KEY must be set in production")

    @property
    def production(self) -> bool:
        """Whether this is no laptop and no test."""
        return self.env == "production"

    @property
    def docs_shown(self) -> bool:
        """Whether `/docs` and `/redoc` are served: outside production, or where switched on."""
        return self.docs if self.docs is not None else not self.production

    @property
    def secrets(self) -> tuple[str, ...]:
        """The signing secrets, newest first: the first signs, all verify."""
        text = _read("SECURITY_SECRET_KEY", self.security_secret_key, self.security_secret_key_file)
        return tuple(word.strip() for word in (text or DEVELOPMENT_SECRET).split(",") if word.strip())

    @property
    def private_keys(self) -> str | None:
        """The private keys that sign tokens, in PEM, newest first: the first signs, all verify."""
        return _read("SECURITY_PRIVATE_KEYS", self.security_private_keys, self.security_private_keys_file)

    @property
    def bootstrap(self) -> tuple[str, frozenset[str]] | None:
        """The API key that is there from the start, and its scopes, if one is set."""
        text = _read(BOOTSTRAP, self.bootstrap_api_key, self.bootstrap_api_key_file)
        return _key_with_scopes(text, MIN_SECRET_BYTES if self.production else 16) if text else None

    @property
    def database(self) -> str | None:
        """The database's URL as asyncpg takes it, if one is set."""
        url = _read("DATABASE_URL", self.database_url, self.database_url_file)
        return url and _for_asyncpg("DATABASE_URL", url)

    @property
    def migrated(self) -> str:
        """The URL for migrations, past PgBouncer; raises BadSettings where only PgBouncer's is known."""
        url = _read("PARLOR_MIGRATE_URL", self.migrate_url, self.migrate_url_file)
        if url:
            return _for_asyncpg("PARLOR_MIGRATE_URL", url)
        if self.pgbouncer:
            raise BadSettings(
                "set PARLOR_MIGRATE_URL first: migrations go past PgBouncer, to PostgreSQL itself"
            )
        if self.database is None:
            raise BadSettings("set DATABASE_URL first")
        return self.database

    @property
    def may_migrate(self) -> bool:
        """Whether it is known where migrations go."""
        return not self.pgbouncer or bool(self.migrate_url or self.migrate_url_file)

    @property
    def redis(self) -> str | None:
        """Redis' URL, if one is set."""
        url = _read("REDIS_URL", self.redis_url, self.redis_url_file)
        return url and _with_scheme("REDIS_URL", url, {"redis", "rediss", "unix"})

    @property
    def rabbitmq(self) -> str | None:
        """RabbitMQ's URL, if one is set."""
        url = _read("RABBITMQ_URL", self.rabbitmq_url, self.rabbitmq_url_file)
        return url and _with_scheme("RABBITMQ_URL", url, {"amqp", "amqps"})

    @property
    def smtp(self) -> str | None:
        """The mail server's URL, if one is set."""
        return _read("PARLOR_SMTP_URL", self.smtp_url, self.smtp_url_file)

    @property
    def traces_endpoint(self) -> str | None:
        """Where traces are sent over OTLP, if anywhere. Raises BadSettings."""
        if self.otel_disabled or self.otel_traces_exporter == "none":
            return None
        base = self.otel_endpoint and f"{self.otel_endpoint.rstrip('/')}/v1/traces"
        endpoint = self.otel_traces_endpoint or base
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise BadSettings("OTEL_EXPORTER_OTLP_ENDPOINT must begin with http:// or https://")
        return endpoint or None

    @property
    def public_base(self) -> str | None:
        """What links begin with, if clients' address is set; never the address that a request names."""
        return self.public_url and self.public_url.rstrip("/")

    @property
    def mail_sender(self) -> str:
        """Whom mail is from: unless that is set, Parlor at the host that clients use."""
        return (
            self.mail_from or f"Parlor <no-reply@{urlsplit(self.public_url or '').hostname or 'localhost'}>"
        )

    @property
    def names_services(self) -> bool:
        """Whether all three servers are named."""
        return not self._missing()

    def need_services(self) -> None:
        """Raise BadSettings unless all three servers are named."""
        missing = self._missing()
        if missing:
            raise BadSettings(f"set {', '.join(missing)} first (or run `parlor up`, which needs none)")

    def _missing(self) -> list[str]:
        named = {"DATABASE_URL": self.database, "REDIS_URL": self.redis, "RABBITMQ_URL": self.rabbitmq}
        return [name for name, url in named.items() if not url]


def _read(name: str, value: SecretStr | None, file: Path | None) -> str | None:
    if value is not None and file is not None:
        raise BadSettings(f"set {name} or {name}_FILE, not both")
    if file is None:
        return value.get_secret_value() if value else None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise BadSettings(f"{name}_FILE cannot be read: {error.strerror}") from error


def _key_with_scopes(text: str, least: int) -> tuple[str, frozenset[str]]:
    """Read `parlor_<prefix>_<secret>=<scope>,<scope>…`."""
    key, _, scopes = text.rpartition("=")
    if not re.fullmatch(rf"parlor_[A-Za-z0-9-]{{1,32}}_[!-~]{{{least},256}}", key):
        raise BadSettings(
            f"{BOOTSTRAP} must read parlor_<prefix>_<secret>=<scope>,<scope>, the prefix of letters and digits, "
            f"the secret of at least {least} of these, - and _"
        )
    named = frozenset(scope.strip() for scope in scopes.split(",") if scope.strip())
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*(:[a-z0-9_]+)+", scope) for scope in named):
        raise BadSettings(f"{BOOTSTRAP}: a scope is a permission, such as tokens:introspect")
    return key, named


def _for_asyncpg(name: str, url: str) -> str:
    known = _with_scheme(name, url, {"postgresql", "postgres", "postgresql+asyncpg"})
    return "postgresql://" + known.partition("://")[2]


def _with_scheme(name: str, url: str, schemes: set[str]) -> str:
    if url.partition("://")[0] not in schemes:
        raise BadSettings(f"{name} must begin with {' or '.join(sorted(s + '://' for s in schemes))}")
    return url
