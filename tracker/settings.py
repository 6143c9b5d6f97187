"""Settings, all from the environment; `docs/deploy/environment.md` has the table.

Nothing here starts, connects or guesses. What is missing or wrong is collected in
``SETTINGS_PROBLEMS`` and reported by a system check, one sentence each, so that a bad environment
stops the start with all of its faults at once instead of a traceback for the first.
"""

import json
import os
import re
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

from tracker import files, mail, money, servers
from tracker.vault import Keyring, WeakKey

money.set_precision()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
SETTINGS_PROBLEMS: list[str] = []


def _secret(name: str) -> str:
    """Read raw: django-environ would expand a ``$`` inside a secret."""
    value = os.environ.get(name, "").strip()
    if not value:
        SETTINGS_PROBLEMS.append(f"{name} is not set.")
    elif len(value) < 32:
        SETTINGS_PROBLEMS.append(f"{name} is shorter than 32 characters.")
    return value


def _previous_secret(name: str) -> tuple[str, ...]:
    """Secrets of the past that still count, separated by commas; read raw like any secret."""
    values = tuple(value.strip() for value in os.environ.get(name, "").split(",") if value.strip())
    if any(len(value) < 32 for value in values):
        SETTINGS_PROBLEMS.append(f"{name} holds a secret shorter than 32 characters.")
    return values


def _backup_keys() -> tuple[bytes, ...]:
    """Keys of ``BACKUP_KEY``, which may be empty. Raises WeakKey."""
    text = os.environ.get("BACKUP_KEY", "").strip()
    return Keyring.parse(text).keys if text else ()


def _json(name: str, default: dict) -> dict:
    try:
        value = json.loads(os.environ.get(name) or "null")
    except ValueError:
        value = False
    if value is None:
        return default
    if not isinstance(value, dict):
        SETTINGS_PROBLEMS.append(f"{name} is not a JSON object.")
        return default
    return value


def _int(name: str, default: int) -> int:
    try:
        return int(os.environ.get(name) or default)
    except ValueError:
        SETTINGS_PROBLEMS.append(f"{name} is not a whole number.")
        return default


def _switch(name: str, default: bool) -> bool:
    """A typing error must not turn a limit off, so nothing but these words is understood."""
    word = os.environ.get(name, "").strip().lower() or ("on" if default else "off")
    if word in ("on", "true", "yes", "1"):
        return True
    if word not in ("off", "false", "no", "0"):
        SETTINGS_PROBLEMS.append(f"{name} is neither 'on' nor 'off'.")
    return False


ENVIRONMENT = os.environ.get("ENVIRONMENT", "development")
if ENVIRONMENT not in ("development", "production"):
    SETTINGS_PROBLEMS.append("ENVIRONMENT is neither 'development' nor 'production'.")
DEBUG = ENVIRONMENT == "development"
PRODUCTION = not DEBUG

# --- secrets ------------------------------------------------------------------------------------
SECRET_KEY = _secret("SECRET_KEY") or "unset-and-refused-by-the-settings-check"
JWT_SECRET_KEY = _secret("JWT_SECRET_KEY")
JWT_REFRESH_SECRET_KEY = _secret("JWT_REFRESH_SECRET_KEY")
if JWT_SECRET_KEY and len({SECRET_KEY, JWT_SECRET_KEY, JWT_REFRESH_SECRET_KEY}) < 3:
    SETTINGS_PROBLEMS.append(
        "SECRET_KEY, JWT_SECRET_KEY and JWT_REFRESH_SECRET_KEY must be three different secrets."
    )
# Keys that no longer sign, and whose tokens are accepted until they are removed here.
JWT_PREVIOUS_SECRET_KEYS = _previous_secret("JWT_PREVIOUS_SECRET_KEYS")
JWT_PREVIOUS_REFRESH_SECRET_KEYS = _previous_secret("JWT_PREVIOUS_REFRESH_SECRET_KEYS")
_previous = JWT_PREVIOUS_SECRET_KEYS + JWT_PREVIOUS_REFRESH_SECRET_KEYS
_current = {SECRET_KEY, JWT_SECRET_KEY, JWT_REFRESH_SECRET_KEY}
if len(set(_previous)) < len(_previous) or _current & set(_previous):
    SETTINGS_PROBLEMS.append(
        "JWT_PREVIOUS_SECRET_KEYS and JWT_PREVIOUS_REFRESH_SECRET_KEYS hold a secret that is also "
        "used elsewhere."
    )
try:
    ENCRYPTION_KEYRING = Keyring.parse(os.environ.get("ENCRYPTION_KEY", ""))
except WeakKey as problem:
    SETTINGS_PROBLEMS.append(f"{problem}.")
    ENCRYPTION_KEYRING = Keyring(())

# --- hosts --------------------------------------------------------------------------------------
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CORS_ALLOWED_ORIGINS = []
for _origin in env.list("CORS_ORIGINS", default=[]):
    if re.fullmatch(r"https?://[^/*\s]+", _origin):
        CORS_ALLOWED_ORIGINS.append(_origin)
    else:
        SETTINGS_PROBLEMS.append(f"CORS_ORIGINS holds {_origin!r}, which is not an exact origin.")
CSRF_TRUSTED_ORIGINS = [origin for origin in CORS_ALLOWED_ORIGINS if origin.startswith("https://")]
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", "testserver"}
if DEBUG and not set(ALLOWED_HOSTS) <= _LOCAL_HOSTS:
    SETTINGS_PROBLEMS.append(
        "ALLOWED_HOSTS names a public host while ENVIRONMENT is 'development', which turns "
        "debugging on. Set ENVIRONMENT to 'production'."
    )
if PRODUCTION and (not ALLOWED_HOSTS or set(ALLOWED_HOSTS) <= _LOCAL_HOSTS):
    SETTINGS_PROBLEMS.append("ALLOWED_HOSTS names no public host.")
if PRODUCTION and "*" in ALLOWED_HOSTS:
    SETTINGS_PROBLEMS.append("ALLOWED_HOSTS allows every host; name yours.")
# How many proxies of ours stand before the application and append to X-Forwarded-For.
TRUSTED_PROXY_COUNT = _int("TRUSTED_PROXY_COUNT", 0)

# --- database -----------------------------------------------------------------------------------
# Hosts that are reached over a network of our own, where encryption may be left out.
PRIVATE_NETWORK_HOSTS = env.list("PRIVATE_NETWORK_HOSTS", default=[])
_rules = servers.Rules(production=PRODUCTION, private_hosts=PRIVATE_NETWORK_HOSTS)
# "web" in gunicorn, whose callers do not wait for long; tracker.gunicorn sets it.
_IN_WEB = os.environ.get("PROCESS_KIND") == "web"
STATEMENT_TIMEOUT_MS = _int("STATEMENT_TIMEOUT_MS", 15_000 if _IN_WEB else 30_000)
# "transaction": DATABASE_URL leads through a pooler that lends connections by the transaction.
DATABASE_POOLER = os.environ.get("DATABASE_POOLER", "").strip() or "none"
if DATABASE_POOLER not in ("none", servers.TRANSACTION):
    SETTINGS_PROBLEMS.append("DATABASE_POOLER is neither 'none' nor 'transaction'.")
_database = servers.database("DATABASE_URL", os.environ.get("DATABASE_URL", ""), _rules)
SETTINGS_PROBLEMS += _database.problems
DATABASES = {"default": _database.settings}
DATABASES["default"] |= {
    "CONN_MAX_AGE": _int("DATABASE_CONN_MAX_AGE", 60),
    "CONN_HEALTH_CHECKS": True,
    # Server-side cursors break behind a pooler in transaction mode.
    "DISABLE_SERVER_SIDE_CURSORS": True,
}
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"] |= servers.options(
    pooler=DATABASE_POOLER, statement_timeout_ms=STATEMENT_TIMEOUT_MS
)
# Past the pooler, for migrations and backups: see tracker.direct.
DIRECT_DATABASE: dict[str, Any] = {}
if os.environ.get("DIRECT_DATABASE_URL"):
    _direct = servers.database("DIRECT_DATABASE_URL", os.environ["DIRECT_DATABASE_URL"], _rules)
    SETTINGS_PROBLEMS += _direct.problems
    DIRECT_DATABASE = _direct.settings
    DIRECT_DATABASE.setdefault("OPTIONS", {})
    DIRECT_DATABASE["OPTIONS"] |= servers.options(
        pooler="none", statement_timeout_ms=STATEMENT_TIMEOUT_MS
    )
elif DATABASE_POOLER == servers.TRANSACTION:
    SETTINGS_PROBLEMS.append(
        "DATABASE_POOLER is 'transaction' without DIRECT_DATABASE_URL, which leads migrations and "
        "backups past it."
    )
# Pinned requirements, and the note about when they were audited (`make audit`).
REQUIREMENTS = BASE_DIR / "requirements"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis --------------------------------------------------------------------------------------
REDIS_TLS_VERIFY = _switch("REDIS_TLS_VERIFY", default=True)
REDIS_URL, _problems = servers.redis(
    os.environ.get("REDIS_URL", ""), _rules, verify=REDIS_TLS_VERIFY
)
SETTINGS_PROBLEMS += _problems
_CACHE: dict[str, Any] = {
    "BACKEND": "django_redis.cache.RedisCache",
    "LOCATION": REDIS_URL or "redis://unset.invalid",
    "TIMEOUT": 300,
    "OPTIONS": {
        # Never pickle: what can write to Redis must not be able to run code here.
        "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        "SOCKET_CONNECT_TIMEOUT": 1,
        "SOCKET_TIMEOUT": 1,
    },
}
CACHES = {
    # A read goes on without the cache; limits must not, so they have an alias that fails loudly.
    "default": _CACHE | {"OPTIONS": _CACHE["OPTIONS"] | {"IGNORE_EXCEPTIONS": True}},
    "limits": _CACHE | {"KEY_PREFIX": "limits"},
}
SESSION_ENGINE = "tracker.staff_sessions"
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_HTTPONLY = True

# --- applications -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "tracker.apps.TrackerConfig",  # first: its commands stand before those of the same name
    "accounts.staff.apps.StaffAdminConfig",  # django.contrib.admin, on our own site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_otp",
    "anymail",
    "djstripe",  # before billing, which takes its pages out of the admin
    "audit.apps.AuditConfig",
    "billing.apps.BillingConfig",
    "accounts.apps.AccountsConfig",
    "exchanges.apps.ExchangesConfig",
    "portfolios.apps.PortfoliosConfig",
]
MIDDLEWARE = [
    "tracker.monitoring.requests.CountingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "tracker.middleware.RequestIdMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "tracker.middleware.OutageMiddleware",
    "tracker.health.ProbeMiddleware",  # before whatever looks at the host
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.staff.verified.VerifiedMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "billing.throttling.BurstMiddleware",
    "tracker.middleware.AdminTenancyMiddleware",
    "accounts.staff.idle.IdleMiddleware",
]
ROOT_URLCONF = "tracker.urls"
WSGI_APPLICATION = "tracker.wsgi.application"
APPEND_SLASH = False
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "admin:login"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static_root"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
if DEBUG:  # assets are found where they lie; nothing was collected
    warnings.filterwarnings("ignore", message="No directory at")

# --- passwords and tokens -----------------------------------------------------------------------
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
]
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {
        "NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email"]},
    },
]
ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)
REFRESH_TOKEN_LIFETIME = timedelta(days=7)
SESSION_LIFETIME = timedelta(days=30)
SIMPLE_JWT: dict[str, Any] = {
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SECRET_KEY or "unset",
    "AUDIENCE": "tracker-api",
    "ISSUER": "tracker",
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": "typ",
}

# --- API ----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.SessionTokenAuthentication",
        "accounts.authentication.ApiKeyAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["billing.throttling.BurstThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["tracker.api.FastJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["tracker.api.StrictJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "tracker.schema.ApiSchema",
    "EXCEPTION_HANDLER": "tracker.api.handle_exception",
    "DATETIME_FORMAT": None,  # the renderer writes RFC 3339 with a Z
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Portfolio tracker API",
    "DESCRIPTION": "What the mobile app reads and writes. Decimals are strings, instants are UTC.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "tracker.contract.errors.share",
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "PortfolioStatusEnum": "portfolios.models.Status",
        "SyncStateEnum": "portfolios.models.SyncState",
        "SupportStateEnum": "accounts.models.SupportRequest.State",
        "SupportCategoryEnum": "accounts.models.helpdesk.SupportCategory",
        "ValuationScopeEnum": "portfolios.models.Scope",
        "ConnectionStateEnum": "exchanges.models.ConnectionState",
        "ImportStateEnum": "portfolios.models.ImportState",
        "FormatEnum": "portfolios.serializers.imports.FORMATS",
        "FileFormatEnum": ["csv", "xlsx", "jsonl", "parquet"],
        "WalletEnum": ["spot", "funding", "earn", "margin", "futures"],
        "TradeKindEnum": ["fill", "conversion", "dust", "fiat"],
        "RewardKindEnum": [
            "reward",
            "interest",
            "staking",
            "airdrop",
            "mining",
            "income",
            "bonus",
            "dividend",
        ],
        "FactKindEnum": ["trade", "transfer", "reward", "adjustment"],
        "PriceStatusEnum": ["complete", "stale", "unpriced"],
        "ReasonEnum": "portfolios.models.AdjustmentReason",
        "AlertKindEnum": "portfolios.models.AlertKind",
        "PriceAlertStateEnum": "portfolios.models.AlertState",
        "SecurityAlertStateEnum": "audit.models.SecurityAlert.State",
        "AlertDirectionEnum": "portfolios.models.AlertDirection",
        "DirectionEnum": ["deposit", "withdrawal", "internal"],
        "CoverageReasonEnum": [
            "not_read",
            "behind",
            "failed",
            "horizon",
            "closed",
            "not_offered",
        ],
        "CoverageStateEnum": ["complete", "behind", "not_read", "failed"],
        "CandleGapReasonEnum": ["not_fetched", "source_unavailable", "no_market"],
        "DataExportStateEnum": "accounts.models.privacy.DataExport.State",
        "BacktestStateEnum": "portfolios.models.BacktestState",
        "BacktestKindEnum": "portfolios.models.BacktestKind",
        "StrategyKindEnum": "portfolios.serializers.strategies.KINDS",
        "TestStatusEnum": ["ok"],
        "ChangeStatusEnum": ["complete", "partial"],
        "GainsStatusEnum": ["complete", "partial", "updating"],
        "DisposalKindEnum": "portfolios.models.DisposalKind",
        "RepairActionEnum": "portfolios.reconciling.remedies.ACTIONS",
        "BaseCurrencyEnum": "accounts.models.BaseCurrency",
        "CostBasisMethodEnum": "accounts.models.CostBasisMethod",
        "CostBasisScopeEnum": "accounts.models.CostBasisScope",
    },
}
PAGE_SIZE, MAX_PAGE_SIZE = 100, 500
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# The largest file of entries that is taken; it is read in memory, and twice.
IMPORT_MAX_BYTES = _int("IMPORT_MAX_BYTES", 5 * 1024 * 1024)
MAX_JSON_DEPTH = 32
IDEMPOTENCY_LIFETIME = timedelta(days=1)
CORS_EXPOSE_HEADERS = [
    "ETag",
    "Retry-After",
    "X-Request-ID",
    "RateLimit",
    "RateLimit-Policy",
    "Idempotency-Replayed",
]
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-none-match", "x-request-id",
]  # fmt: skip
CORS_URLS_REGEX = r"^/api/.*$"

# --- plans and limits ---------------------------------------------------------------------------
BURST_LIMITS_ENABLED = _switch("BURST_LIMITS", default=True)
# Without a key nothing can be bought, everybody is on the plan that costs nothing, and all else
# works. Read raw: a secret.
STRIPE_API_KEY = os.environ.get("STRIPE_API_KEY", "").strip()
STRIPE_PUBLISHABLE_KEY = os.environ.get("STRIPE_PUBLISHABLE_KEY", "").strip()
# "whsec_…", the current one first; two during a rotation.
STRIPE_WEBHOOK_SECRETS = [
    secret.strip() for secret in os.environ.get("STRIPE_WEBHOOK_SECRETS", "").split(",")
    if secret.strip()
]  # fmt: skip
STRIPE_API_URL = os.environ.get("STRIPE_API_URL", "").rstrip("/") or "https://api.stripe.com"
STRIPE_TIMEOUT_SECONDS = _int("STRIPE_TIMEOUT_SECONDS", 10)
STRIPE_TAX = _switch("STRIPE_TAX", default=False)  # have Stripe compute taxes
# Where hosted pages send people back to.
BILLING_RETURN_URL = os.environ.get("BILLING_RETURN_URL", "").strip()
if STRIPE_API_KEY and not re.fullmatch(r"(sk|rk)_(test|live)_\w{16,}", STRIPE_API_KEY):
    SETTINGS_PROBLEMS.append("STRIPE_API_KEY is not a secret or restricted key of Stripe's.")
if STRIPE_API_KEY and not (STRIPE_PUBLISHABLE_KEY and STRIPE_WEBHOOK_SECRETS):
    SETTINGS_PROBLEMS.append(
        "STRIPE_API_KEY is set without STRIPE_PUBLISHABLE_KEY and STRIPE_WEBHOOK_SECRETS."
    )
if PRODUCTION and STRIPE_API_URL != "https://api.stripe.com":
    SETTINGS_PROBLEMS.append("STRIPE_API_URL is not Stripe's.")
# How long a payment may be owed before the plan gives way.
BILLING_GRACE = timedelta(days=_int("BILLING_GRACE_DAYS", 7))
# dj-stripe is only given what was read; our webhook verifies before anything is stored.
warnings.filterwarnings("ignore", message="The default scheme will be changed")  # its admin forms
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
MIGRATION_MODULES = {"djstripe": "billing.copies.migrations"}
STRIPE_LIVE_MODE = STRIPE_API_KEY.split("_")[1:2] == ["live"]
# A POST of any room is answered once: `tracker.api.OnceMixin` finds the function here.
IDEMPOTENT_POSTS = "accounts.idempotency.answer_once"
# django-ratelimit: the blunt shield of sign-up and login, per client address.
AUTH_SHIELD_RATES = env.list("AUTH_SHIELD_RATES", default=[]) or ["20/m", "200/h"]
AUTH_ACCOUNT_RATES = env.list("AUTH_ACCOUNT_RATES", default=[]) or ["10/m", "50/h"]
RATELIMIT_ENABLE = _switch("AUTH_SHIELD", default=True)
RATELIMIT_USE_CACHE = "limits"
SILENCED_SYSTEM_CHECKS = [
    # django-ratelimit knows no django-redis by name; the backend is shared and atomic.
    "django_ratelimit.E003",
    "django_ratelimit.W001",
]

# --- exchanges and prices -----------------------------------------------------------------------
EXCHANGE_BASE_URLS = _json("EXCHANGE_BASE_URLS", {})
EXCHANGE_BUDGETS = _json("EXCHANGE_BUDGETS", {})
# Outgoing addresses by exchange: {"binance": ["direct", "http://user:secret@10.0.0.5:3128"]}.
EXCHANGE_PROXIES = _json("EXCHANGE_PROXIES", {})
for _exchange, _proxies in EXCHANGE_PROXIES.items():
    _fine = isinstance(_proxies, list) and all(
        _url == "direct" or re.fullmatch(r"https?://[^/\s]+", str(_url)) for _url in _proxies
    )
    if not _fine:
        SETTINGS_PROBLEMS.append(
            f"EXCHANGE_PROXIES of {_exchange} is not a list of http:// addresses and 'direct'."
        )
PRICE_EXCHANGES = env.list("PRICE_EXCHANGES", default=[]) or ["binance", "kraken"]
PRICE_CACHE_SECONDS = 300
PRICE_STALE_AFTER = timedelta(minutes=15)
BALANCE_STALE_AFTER = timedelta(hours=36)
CONNECTION_TEST_SECONDS = 10
# A visit that waits longer for the exchange's rate limits stores what it has and goes on later.
SYNC_DEADLINE_SECONDS = _int("SYNC_DEADLINE_SECONDS", 120)
SYNC_CONCURRENCY = _int("SYNC_CONCURRENCY", 64)
# Operators are told when rows of one feed cannot be read of so many accounts within this time.
QUARANTINE_ALARM_ACCOUNTS = _int("QUARANTINE_ALARM_ACCOUNTS", 3)
QUARANTINE_ALARM_WITHIN = timedelta(minutes=_int("QUARANTINE_ALARM_MINUTES", 60))

# --- e-mail, push, pages ------------------------------------------------------------------------
# Where the API and its pages are reached from outside; links in e-mails begin with it.
PUBLIC_URL = os.environ.get("PUBLIC_URL", "").rstrip("/") or (
    "http://localhost:8000" if DEBUG else ""
)
if not re.fullmatch(r"https?://[^/\s]+", PUBLIC_URL) or (
    PRODUCTION and not PUBLIC_URL.startswith("https://")
):
    SETTINGS_PROBLEMS.append("PUBLIC_URL is not an https:// address without a path.")
# Where the app opens links in e-mails, such as https://app.example.com; without it they say to open
# the app.
APP_URL = os.environ.get("APP_URL", "").rstrip("/")
if APP_URL and not re.fullmatch(r"https://[^\s?#\"<>]+", APP_URL):
    SETTINGS_PROBLEMS.append("APP_URL is not an https:// address.")
# Where passkeys may be used besides PUBLIC_URL: the origins of other pages of ours …
WEBAUTHN_ORIGINS = env.list("WEBAUTHN_ORIGINS", default=[])
# … and the apps: "TEAMID.bundle.id", and {"package": ["SHA-256 fingerprint of its certificate"]}.
APPLE_APP_IDS = env.list("APPLE_APP_IDS", default=[])
ANDROID_APPS = {}
for _package, _prints in _json("ANDROID_APPS", {}).items():
    _row = _prints if isinstance(_prints, list) else [_prints]
    if all(re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", str(_print)) for _print in _row):
        ANDROID_APPS[_package] = _row
    else:
        SETTINGS_PROBLEMS.append(f"ANDROID_APPS holds no SHA-256 fingerprint for {_package!r}.")
# Where the admin is. Another name keeps scanners away; the second factor keeps everybody out.
ADMIN_PATH = os.environ.get("ADMIN_PATH", "").strip("/") or "admin"
if not re.fullmatch(r"[A-Za-z0-9_-]+", ADMIN_PATH) or ADMIN_PATH in (
    "api",
    "static",
    "healthz",
    "status",
    "metrics",
):
    SETTINGS_PROBLEMS.append("ADMIN_PATH is not one word of letters, digits, - and _.")
ADMIN_PREFIX = f"/{ADMIN_PATH}/"
# Unconfirmed people can look around, but connect nothing.
EMAIL_CONFIRMATION = _switch("EMAIL_CONFIRMATION", default=PRODUCTION)
# "console", an smtp:// or smtps:// URL, or the name of a provider that django-anymail knows.
EMAIL_PROVIDER = os.environ.get("EMAIL_PROVIDER", "console" if DEBUG else "")
DEFAULT_FROM_EMAIL = os.environ.get("EMAIL_FROM", "tracker@localhost" if DEBUG else "")
_mail = mail.MailSettings()
if not EMAIL_PROVIDER:
    SETTINGS_PROBLEMS.append("EMAIL_PROVIDER is not set: smtp://…, smtps://… or a provider's name.")
elif PRODUCTION and EMAIL_PROVIDER == "console":
    SETTINGS_PROBLEMS.append("EMAIL_PROVIDER is 'console', which prints links that sign people in.")
else:
    try:
        _mail = mail.read(
            EMAIL_PROVIDER,
            api_key=os.environ.get("EMAIL_API_KEY", "").strip(),
            options=_json("EMAIL_OPTIONS", {}),
        )
    except mail.UnknownProvider as problem:
        SETTINGS_PROBLEMS.append(str(problem))
EMAIL_BACKEND = _mail.backend
EMAIL_HOST, EMAIL_PORT = _mail.host, _mail.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
EMAIL_USE_SSL, EMAIL_USE_TLS = _mail.tls, _mail.starttls
ANYMAIL = dict(_mail.anymail)
# "user:password", which the provider's webhook sends along; without it none is mounted. Read raw.
EMAIL_WEBHOOK_SECRET = os.environ.get("EMAIL_WEBHOOK_SECRET", "").strip()
if EMAIL_WEBHOOK_SECRET and not re.fullmatch(r"[^:\s]+:[^:\s]{16,}", EMAIL_WEBHOOK_SECRET):
    SETTINGS_PROBLEMS.append(
        "EMAIL_WEBHOOK_SECRET is not user:password with 16 characters or more."
    )
if EMAIL_WEBHOOK_SECRET and not ANYMAIL:
    SETTINGS_PROBLEMS.append("EMAIL_WEBHOOK_SECRET is set, but EMAIL_PROVIDER is no provider.")
if EMAIL_WEBHOOK_SECRET:
    ANYMAIL["WEBHOOK_SECRET"] = EMAIL_WEBHOOK_SECRET
# Where the console backend also keeps each e-mail as a file: only while developing.
EMAIL_FOLDER = Path(os.environ.get("DATA_DIR") or BASE_DIR / "var") / "mail"
if not DEFAULT_FROM_EMAIL:
    SETTINGS_PROBLEMS.append("EMAIL_FROM is not set.")
EMAIL_TIMEOUT = 10
EXPO_ACCESS_TOKEN = os.environ.get("EXPO_ACCESS_TOKEN", "")
EXPO_URL = os.environ.get("EXPO_URL", "").strip() or "https://exp.host"

# --- what browsers may do with our pages --------------------------------------------------------
# No script that is not a file of ours. Styles stand in pages too: widths of bars, Django's admin.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"], "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"], "object-src": ["'none'"], "base-uri": ["'none'"],
        "form-action": ["'self'"], "frame-ancestors": ["'none'"],
    }
}  # fmt: skip
# Whether the schema and the page to try it are shown to whoever asks.
API_DOCS = _switch("API_DOCS", default=DEBUG)

# --- live connections ---------------------------------------------------------------------------
# Of one process of serve_stream; each takes some tens of kilobytes.
LIVE_MAX_CONNECTIONS = _int("LIVE_MAX_CONNECTIONS", 10_000)
# Where it is reached from outside, without a path; /ws/ of the web address unless it stands apart.
LIVE_URL = os.environ.get("LIVE_URL", "").rstrip("/") or re.sub("^http", "ws", PUBLIC_URL)
if os.environ.get("LIVE_URL") and (
    not re.fullmatch(r"wss?://[^/\s]+", LIVE_URL)
    or (PRODUCTION and not LIVE_URL.startswith("wss://"))
):
    SETTINGS_PROBLEMS.append("LIVE_URL is not a wss:// address without a path.")
# Whether /live shows a page on which somebody signs in and watches; for trying things out.
LIVE_PAGE = _switch("LIVE_PAGE", default=DEBUG)
# How long a connection may read nothing at all before it is dropped.
LIVE_PATIENCE_SECONDS = _int("LIVE_PATIENCE_SECONDS", 30)

# --- privacy and retention ----------------------------------------------------------------------
# Who runs this, as /terms and /privacy name them.
OPERATOR = {
    "name": os.environ.get("OPERATOR_NAME", "").strip() or "The operator",
    "address": os.environ.get("OPERATOR_ADDRESS", ""),
    "email": os.environ.get("OPERATOR_EMAIL", ""),
    "country": os.environ.get("OPERATOR_COUNTRY", ""),
}
SETTINGS_PROBLEMS += [
    f"OPERATOR_{_key.upper()} is not set."
    for _key in OPERATOR
    if PRODUCTION and not os.environ.get(f"OPERATOR_{_key.upper()}", "").strip()
]
# The inbox that people who need help write to: told outside, and looked at by `launch_checklist`.
SUPPORT_EMAIL = os.environ.get("SUPPORT_EMAIL", "").strip()
TERMS_VERSION = os.environ.get("TERMS_VERSION", "").strip() or "2026-11-01"
PRIVACY_VERSION = os.environ.get("PRIVACY_VERSION", "").strip() or "2026-11-01"
# Outside the database on purpose: it must survive a restore of an older backup.
ERASURE_LOG = os.environ.get("ERASURE_LOG") or str(BASE_DIR / "var" / "erasures.jsonl")
PRIVATE_FILES = os.environ.get("PRIVATE_FILES") or str(BASE_DIR / "var" / "files")
STORAGES["private"] = files.storage_settings(PRIVATE_FILES)
BACKUPS = os.environ.get("BACKUPS") or str(BASE_DIR / "var" / "backups")
STORAGES["backups"] = files.storage_settings(BACKUPS)
# Where pg_dump and pg_restore are, when the PATH has none of the server's version.
POSTGRES_PROGRAMS = os.environ.get("POSTGRES_PROGRAMS", "")
try:
    # The first one seals new copies. ENCRYPTION_KEY opens those made before there was a BACKUP_KEY.
    BACKUP_KEYRING = Keyring((*_backup_keys(), *ENCRYPTION_KEYRING.keys))
except WeakKey as problem:
    SETTINGS_PROBLEMS.append(f"{problem}.".replace("ENCRYPTION_KEY", "BACKUP_KEY"))
    BACKUP_KEYRING = ENCRYPTION_KEYRING
CLOSING_GRACE = timedelta(days=14)
EXPORT_LIFETIME = timedelta(days=7)
ACTIVITY_RETENTION = timedelta(days=_int("ACTIVITY_RETENTION_DAYS", 730))

# --- security alerts ----------------------------------------------------------------------------
# Secrets of the security webhook, "whsec_…", the current one first; two during a rotation.
SECURITY_WEBHOOK_SECRETS = [
    secret.strip() for secret in os.environ.get("SECURITY_WEBHOOK_SECRETS", "").split(",")
    if secret.strip()
]  # fmt: skip
# {"name": {"url": "https://…", "secret": "whsec_…"}}: where alerts are sent.
ALERT_WEBHOOKS = _json("ALERT_WEBHOOKS", {})
GEOIP_PATH = os.environ.get("GEOIP_PATH", "")
# Numbers of `audit.detectors.thresholds` that differ from the defaults: {"guesses_an_hour": 20}.
ALERT_THRESHOLDS = _json("ALERT_THRESHOLDS", {})
# Webhooks may go to private addresses and over http: for development against one's own machine.
WEBHOOK_ALLOW_PRIVATE = _switch("WEBHOOK_ALLOW_PRIVATE", default=False)
if PRODUCTION and WEBHOOK_ALLOW_PRIVATE:
    SETTINGS_PROBLEMS.append("WEBHOOK_ALLOW_PRIVATE is on, which opens our own network.")

# --- Celery -------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 900
CELERY_TASK_SOFT_TIME_LIMIT = 840
# Longer than any task may run: a task that is still running is never handed out again.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_timeout": 10}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "audit.tasks.check_activity_log": {"queue": "exports"},
    "portfolios.tasks.sync_batch": {"queue": "sync"},
    "portfolios.tasks.derive_portfolio": {"queue": "derive"},
    "portfolios.tasks.extend_valuations": {"queue": "derive"},
    # Long jobs, which must not hold up what is due every minute.
    "portfolios.tasks.backfill_prices": {"queue": "exports"},
    "exchanges.tasks.fetch_candles": {"queue": "exports"},
    "portfolios.tasks.apply_import": {"queue": "exports"},
    "portfolios.tasks.send_weekly_summary": {"queue": "exports"},
    "portfolios.tasks.replay_quarantine": {"queue": "exports"},
    "portfolios.tasks.run_backtest": {"queue": "backtests"},
    "accounts.tasks.make_export": {"queue": "exports"},
    "audit.tasks.back_up": {"queue": "exports"},
    "portfolios.tasks.make_file_export": {"queue": "exports"},
}
# Sweeps find what a dead process left behind: a lease of 30 seconds, a sweep after it, and the
# work itself fit into a minute. Each is one indexed statement when there is nothing to do.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "audit.sweep-outbox": {"task": "audit.tasks.sweep_outbox", "schedule": 15.0},
    "audit.seal-activity": {"task": "audit.tasks.seal_activity", "schedule": 60.0},
    "audit.roll-up-metrics": {"task": "audit.tasks.roll_up_metrics", "schedule": 3600.0},
    "audit.send-operators-digest": {
        "task": "audit.tasks.send_operators_digest",
        "schedule": 3600.0,
    },
    "audit.check-activity-log": {"task": "audit.tasks.check_activity_log", "schedule": 3600.0},
    "audit.note-secrets": {"task": "audit.tasks.note_secrets", "schedule": 86400.0},
    "audit.back-up": {"task": "audit.tasks.back_up", "schedule": 3600.0},
    "billing.flush-usage": {"task": "billing.tasks.flush_usage", "schedule": 10.0},
    "billing.report-usage": {"task": "billing.tasks.report_usage", "schedule": 60.0},
    "billing.settle-due": {"task": "billing.tasks.settle_due", "schedule": 30.0},
    "billing.process-due-events": {
        "task": "billing.tasks.process_due_events",
        "schedule": 30.0,
    },
    "billing.reconcile": {"task": "billing.tasks.reconcile", "schedule": 3600.0},
    "accounts.forget-idempotency-keys": {
        "task": "accounts.tasks.forget_idempotency_keys",
        "schedule": 3600.0,
    },
    "accounts.send-due": {"task": "accounts.tasks.send_due", "schedule": 60.0},
    "accounts.check-push-receipts": {
        "task": "accounts.tasks.check_push_receipts",
        "schedule": 600.0,
    },
    "accounts.sweep-exports": {"task": "accounts.tasks.sweep_exports", "schedule": 15.0},
    "accounts.remove-expired-exports": {
        "task": "accounts.tasks.remove_expired_exports",
        "schedule": 3600.0,
    },
    "accounts.erase-closed-accounts": {
        "task": "accounts.tasks.erase_closed_accounts",
        "schedule": 3600.0,
    },
    "accounts.close-silent-requests": {
        "task": "accounts.tasks.close_silent_requests",
        "schedule": 3600.0,
    },
    "accounts.apply-second-factor-resets": {
        "task": "accounts.tasks.apply_second_factor_resets",
        "schedule": 300.0,
    },
    "accounts.apply-retention": {"task": "accounts.tasks.apply_retention", "schedule": 86400.0},
    "audit.scan-failures": {"task": "audit.tasks.scan_failures", "schedule": 60.0},
    "audit.deliver-webhooks": {"task": "audit.tasks.deliver_webhooks", "schedule": 60.0},
    "exchanges.refresh-prices": {"task": "exchanges.tasks.refresh_prices", "schedule": 20.0},
    "exchanges.fetch-candles": {"task": "exchanges.tasks.fetch_candles", "schedule": 60.0},
    "exchanges.watch-quarantine": {"task": "exchanges.tasks.watch_quarantine", "schedule": 60.0},
    "portfolios.dispatch-due-syncs": {
        "task": "portfolios.tasks.dispatch_due_syncs",
        "schedule": 10.0,
    },
    "portfolios.tell-of-lasting-trouble": {
        "task": "portfolios.tasks.tell_of_lasting_trouble",
        "schedule": 3600.0,
    },
    "portfolios.take-due-snapshots": {
        "task": "portfolios.tasks.take_due_snapshots",
        "schedule": 30.0,
    },
    "portfolios.sweep-behind": {"task": "portfolios.tasks.sweep_behind", "schedule": 15.0},
    "portfolios.extend-valuations": {
        "task": "portfolios.tasks.extend_valuations",
        "schedule": 3600.0,
    },
    "portfolios.backfill-prices": {"task": "portfolios.tasks.backfill_prices", "schedule": 20.0},
    "portfolios.queue-weekly-summaries": {
        "task": "portfolios.tasks.queue_weekly_summaries",
        "schedule": 3600.0,
    },
    "portfolios.sweep-imports": {"task": "portfolios.tasks.sweep_imports", "schedule": 15.0},
    "portfolios.forget-import-files": {
        "task": "portfolios.tasks.forget_import_files",
        "schedule": 3600.0,
    },
    "portfolios.sweep-backtests": {"task": "portfolios.tasks.sweep_backtests", "schedule": 10.0},
    "portfolios.dispatch-watches": {"task": "portfolios.tasks.dispatch_watches", "schedule": 20.0},
    "portfolios.check-alerts": {"task": "portfolios.tasks.check_alerts", "schedule": 60.0},
    "portfolios.set-alerts-aside": {
        "task": "portfolios.tasks.set_alerts_aside",
        "schedule": 60.0,
    },
    "portfolios.sweep-file-exports": {
        "task": "portfolios.tasks.sweep_file_exports",
        "schedule": 15.0,
    },
    "portfolios.remove-expired-files": {
        "task": "portfolios.tasks.remove_expired_files",
        "schedule": 3600.0,
    },
    "portfolios.forget-old-runs": {"task": "portfolios.tasks.forget_old_runs", "schedule": 86400.0},
    "tracker.measure-service": {"task": "tracker.tasks.measure_service", "schedule": 60.0},
    "tracker.extend-partitions": {"task": "tracker.tasks.extend_partitions", "schedule": 86400.0},
}

# While no worker runs, ticks do not pile up: one that is older than a minute is dropped, because
# a younger one does the same.
for _entry in CELERY_BEAT_SCHEDULE.values():
    if _entry["schedule"] <= 60:
        _entry["options"] = {"expires": 60}

# --- safety in production -----------------------------------------------------------------------
if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
    SECURE_HSTS_SECONDS = 63_072_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- logs and errors ----------------------------------------------------------------------------
SENTRY_DSN = os.environ.get("SENTRY_DSN", "")
# What Prometheus brings along as a bearer token; /metrics is not there without it. Read raw.
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "").strip()
if METRICS_TOKEN and len(METRICS_TOKEN) < 32:
    SETTINGS_PROBLEMS.append("METRICS_TOKEN is shorter than 32 characters.")
# RequestIdMiddleware has checked or made the id that the header then holds, and binds the address
# that our own proxies report; the library would believe any X-Forwarded-For.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
DJANGO_STRUCTLOG_TRUST_UPSTREAM_CORRELATION_ID = False
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
from tracker import sentry  # noqa: E402  (after SENTRY_DSN is known)
from tracker.logs import LOGGING  # noqa: E402, F401

sentry.start(dsn=SENTRY_DSN, environment=ENVIRONMENT)
