"""What both wings need of merging: the judgement from stored records, the check of a configuration, the words.

Pure functions on the standard library (a configuration's YAML is read by PyYAML's safe loader, on first use).
"""

from __future__ import annotations

from workers.merging.configs import CONFIG_BYTES, check, read
from workers.merging.recipes import OFFERED
from workers.merging.shapes import Checked, Reference
from workers.merging.titles import title
from workers.merging.verdicts import base_for, check_names, judge, wanted

__all__ = [
    "CONFIG_BYTES",
    "OFFERED",
    "Checked",
    "Reference",
    "base_for",
    "check",
    "check_names",
    "judge",
    "read",
    "title",
    "wanted",
]
