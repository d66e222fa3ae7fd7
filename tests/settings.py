"""The settings of tests, read before any conftest: what the environment must not bring in is dropped here."""

import os
import tempfile
from pathlib import Path

# Nothing a test does may touch the state of a running checkout, or depend on the settings of the person who runs it.
os.environ["ROOTSTOCK_VAR"] = tempfile.mkdtemp(prefix="rootstock-test-")
for _name in (
    "HF_TOKEN",
    "HF_ENDPOINT",
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "ROOTSTOCK_ADMIN_PASSWORD",
    "ROOTSTOCK_API_CALLS",
    "ROOTSTOCK_LOG_LEVEL",
    "ROOTSTOCK_PROFILE",
    "ROOTSTOCK_PROXIES",
    "ROOTSTOCK_ROLE",
    "ROOTSTOCK_STATEMENT_SECONDS",
    "ROOTSTOCK_STATIC_ROOT",
    "ROOTSTOCK_STORAGE_HOSTS",
):
    os.environ.pop(_name, None)

from hubapp.settings import *
from hubapp.settings import DATABASES, STATIC_ROOT, STORAGES, VAR

# Processes that tests start have the real settings.
os.environ["DJANGO_SETTINGS_MODULE"] = "hubapp.settings"

# SQLite in a file, as in life: WAL, write locks and threads behave otherwise in memory.
DATABASES["default"]["TEST"] = {"NAME": str(VAR / "test.sqlite3")}
# Names as they are in the sources: nothing is collected before tests.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
Path(STATIC_ROOT).mkdir(parents=True, exist_ok=True)
# A hundred accounts are made in tests; their passwords need not withstand anybody.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
