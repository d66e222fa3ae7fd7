"""How static files are named when they are collected: by digest, in the imports of our ES modules too.

Without the latter a module which a page loads by its digested name, and another imports by its plain one, would be two
modules, and run twice. Scripts of other packages are left as they are: some mention modules that they don't bring.
"""

from __future__ import annotations

from pathlib import Path

from django.contrib.staticfiles.storage import HashedFilesMixin, ManifestStaticFilesStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage

_OWN = Path(__file__).resolve().parents[2] / "static"
# Django's own, which it would apply to all scripts.
_IMPORTS = HashedFilesMixin._js_module_import_aggregation_patterns[1]  # type: ignore[attr-defined]  # noqa: SLF001
_PATTERNS = (
    *HashedFilesMixin.patterns,
    *((f"{folder.name}/*.js", _IMPORTS) for folder in sorted(_OWN.iterdir()) if folder.is_dir()),
)
_PASSES = 30  # a digest settles once those of all modules that it imports, and they import, have


class Statics(ManifestStaticFilesStorage):
    """As they are, for loopback."""

    patterns = _PATTERNS
    max_post_process_passes = _PASSES


class CompressedStatics(CompressedManifestStaticFilesStorage):
    """Compressed beforehand, for where they travel."""

    patterns = _PATTERNS
    max_post_process_passes = _PASSES
