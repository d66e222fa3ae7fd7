"""The API's description as a file in the repository: a change of the API shows in the diff."""

from __future__ import annotations

import json
from pathlib import Path

PATH = Path(__file__).with_name("openapi.json")


def current() -> str:
    """The OpenAPI description of the code as it stands, as JSON text with sorted keys."""
    from hubapp.api.site import api

    return json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), indent=1, sort_keys=True, default=str) + "\n"
