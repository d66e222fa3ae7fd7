"""Settings, in two profiles.

``local`` (the default): SQLite and a broker of plain files under ``var/``, http on 127.0.0.1, secrets generated there.
``deploy``: refuses to start without SECRET_KEY, ALLOWED_HOSTS, DATABASE_URL and REDIS_URL.
Every variable read here stands in README's table of settings, which a test holds to this file.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from hubapp import logs

BASE_DIR = Path(__file__).resolve().parent.parent
PROFILE = os.environ.get("ROOTSTOCK_PROFILE", "local")
if PROFILE not in {"local", "deploy"}:
    raise ImproperlyConfigured(f"ROOTSTOCK_PROFILE is {PROFILE!r}: use 'local' or 'deploy'.")
DEPLOY = PROFILE == "deploy"
# Without ROOTSTOCK_VAR commands work on what `make run` used last: var/current points there.
VAR = Path(os.environ.get("ROOTSTOCK_VAR") or BASE_DIR / "var" / "current").resolve()
if VAR == BASE_DIR / "var" / "current":
    VAR = BASE_DIR / "var" / "sample"


def _required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"The deploy profile needs {name} in the environment.")
    return value


def _generated(name: str) -> str:
    """A secret that is made once and kept in ``var/``, readable by its owner alone."""
    path = VAR / name
    if not path.exists():
        VAR.mkdir(parents=True, exist_ok=True)
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(50))
        except FileExistsError:
            pass  # another process of the same start made it
    return path.read_text()


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "") or str(default)
    if not text.isdecimal():
        raise ImproperlyConfigured(f"{name} is {text!r}: give a whole number, 0 or more.")
    return int(text)


DEBUG = False
SECRET_KEY = _required("SECRET_KEY") if DEPLOY else (os.environ.get("SECRET_KEY") or _generated("secret_key"))
ALLOWED_HOSTS = (
    [host.strip() for host in _required("ALLOWED_HOSTS").split(",") if host.strip()]
    if DEPLOY
    else ["127.0.0.1", "localhost", "[::1]"]
)


# --- the Hub --------------------------------------------------------------------------------------------------------
def _endpoint() -> str:
    """HF_ENDPOINT, else the hub that this folder's catalogue was read from, else the real one."""
    kept = VAR / "endpoint"
    return os.environ.get("HF_ENDPOINT") or (kept.read_text() if kept.exists() else "") or "https://huggingface.co"


HUB_ENDPOINT = _endpoint().strip().rstrip("/")
# Hosts beside the endpoint's own that a redirect may lead to: the Hub's documented storage.
_STORAGE = "cdn-lfs.huggingface.co,cdn-lfs.hf.co,cas-bridge.xethub.hf.co"
HUB_STORAGE_HOSTS = tuple(
    host.strip()
    for host in os.environ.get(
        "ROOTSTOCK_STORAGE_HOSTS", _STORAGE if urlsplit(HUB_ENDPOINT).hostname == "huggingface.co" else ""
    ).split(",")
    if host.strip()
)
# How many unknown parents one crawl may look up by name, and how many cards are read after it (0: none).
HUB_LOOKUPS = _number("ROOTSTOCK_LOOKUPS", 2000)
# Whether pages are read in processes of their own while others are stored (0: in the worker itself; saves 60 MB each).
HUB_READERS = _number("ROOTSTOCK_READERS", 1)
# Whether a crawl ends with reading the weights of what it brought, and whether gated ones are read with the token.
_SAMPLE = os.environ.get("ROOTSTOCK_HUB_CONTENT", "") if os.environ.get("ROOTSTOCK_HUB_AUTOSTART") == "true" else ""
READ_WEIGHTS = bool(_number("ROOTSTOCK_READ_WEIGHTS", int(_SAMPLE.partition(":")[0] in ("collection", "zoo"))))
GATED_WEIGHTS = bool(_number("ROOTSTOCK_GATED_WEIGHTS", 0))
HUB_CARDS = _number("ROOTSTOCK_CARDS", 500 if "huggingface.co" in HUB_ENDPOINT else 5000)

# --- search by meaning ----------------------------------------------------------------------------------------------
# A folder with another text encoder, or "lexical" for words and letters alone ("": the packaged one where it is there).
TEXT_ENCODER = os.environ.get("ROOTSTOCK_ENCODER", "")
# Where the search process listens: unix:/path or http://host:port.
SEARCH_ADDRESS = os.environ.get("ROOTSTOCK_SEARCH") or f"unix:{VAR / 'search.sock'}"
# Of how many models, the most popular first, cards and names are read for it (0: of none).
MEANINGS = _number("ROOTSTOCK_MEANINGS", 20_000)

# --- applications ---------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "hubapp.web",
    "hubapp.api",
    "hubapp.crawling",
    "hubapp.merging",
    "hubapp.licences",
    "hubapp.searching",
    "hubapp.probing",
    "hubapp.weights",
    "hubapp.lineage",
    "hubapp.catalog",
    "hubapp.jobs",
    "django_celery_beat",
    "django_htmx",
    "csp",
    "ninja",
    "hubapp.apps.RootstockAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "hubapp.middleware.health.HealthMiddleware",
    "hubapp.middleware.request_log.RequestLogMiddleware",
    "hubapp.middleware.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "hubapp.api.middleware.ApiMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hubapp.middleware.logins.LoginThrottleMiddleware",
    "hubapp.middleware.time_limit.TimeLimitMiddleware",
]
ROOT_URLCONF = "hubapp.urls"
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
            ]
        },
    }
]
WSGI_APPLICATION = "hubapp.wsgi.application"
APPEND_SLASH = False  # model ids are paths: a slash at the end is the pages' own business

# --- database -------------------------------------------------------------------------------------------------------
# Pages and the API end a statement after so many seconds (0: never); workers and commands take the time they need.
STATEMENT_SECONDS = _number("ROOTSTOCK_STATEMENT_SECONDS", 5)
IS_WEB = os.environ.get("ROOTSTOCK_ROLE") == "web"
DATABASE_URL = _required("DATABASE_URL") if DEPLOY else os.environ.get("DATABASE_URL", "")
if DATABASE_URL:
    DATABASES = {"default": dj_database_url.parse(DATABASE_URL, conn_max_age=60, conn_health_checks=True)}
    if IS_WEB and DATABASES["default"]["ENGINE"].endswith("postgresql"):
        # Just-in-time compilation costs a search 50 to 200 ms and gains it nothing.
        DATABASES["default"].setdefault("OPTIONS", {})["options"] = (
            f"-c statement_timeout={STATEMENT_SECONDS * 1000} -c jit=off"
        )
else:
    VAR.mkdir(parents=True, exist_ok=True)
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(VAR / "rootstock.sqlite3"),
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                # Four writing processes lost 18 of 800 transactions with the default (deferred) mode, none with this.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "; ".join(
                    [
                        "PRAGMA journal_mode=WAL",
                        "PRAGMA synchronous=NORMAL",
                        "PRAGMA mmap_size=268435456",
                        "PRAGMA cache_size=-24576",
                        "PRAGMA temp_store=MEMORY",
                        # 64 MB of log before it is put into the file: at the default of 4 MB each page of a crawl
                        # waits for that, and pages of the file that all of them touch are written each time.
                        "PRAGMA wal_autocheckpoint=16000",
                    ]
                ),
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- queue ----------------------------------------------------------------------------------------------------------
REDIS_URL = _required("REDIS_URL") if DEPLOY else os.environ.get("REDIS_URL", "")

# --- language and time ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# --- static files ---------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(os.environ.get("ROOTSTOCK_STATIC_ROOT") or VAR / "staticfiles")
WHITENOISE_MAX_AGE = 3600  # names with a hash in them are cached for ever
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Compressing takes longer than all else of a first start, and buys nothing on loopback.
    "staticfiles": {"BACKEND": f"hubapp.web.statics.{'CompressedStatics' if DEPLOY else 'Statics'}"},
}

# --- security -------------------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
        **({"upgrade-insecure-requests": True} if DEPLOY else {}),
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "hubapp.web.errors.csrf_failure"
if DEPLOY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz)$"]
# How many proxies stand in front: their X-Forwarded-For tells the visitor's address, which limits are counted by.
PROXIES = _number("ROOTSTOCK_PROXIES", 1 if DEPLOY else 0)
# How many calls of the API one visitor or token may make in a minute (0: any number).
API_CALLS_PER_MINUTE = _number("ROOTSTOCK_API_CALLS", 300)
AUTHENTICATION_BACKENDS = ["hubapp.middleware.logins.ThrottledBackend"]
LOGIN_URL = "admin:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- logs -----------------------------------------------------------------------------------------------------------
LOG_LEVEL = os.environ.get("ROOTSTOCK_LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured(f"ROOTSTOCK_LOG_LEVEL is {LOG_LEVEL!r}: use DEBUG, INFO, WARNING, ERROR or CRITICAL.")
logs.configure()
LOGGING = logs.dict_config(LOG_LEVEL)
