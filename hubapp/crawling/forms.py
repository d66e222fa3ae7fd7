"""What to crawl and how often, asked in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from hubapp.crawling import services
from hubapp.crawling.models import Scope
from hubapp.crawling.schedules import DAYS, Rhythm, Schedule
from workers.errors import BadRequest


@dataclass(frozen=True, slots=True)
class _Choice:
    """One row of a form: a radio button, its words, and the field it opens."""

    value: str
    words: str
    help: str
    kind: str = ""  # "", "text" or "number"
    label: str = ""  # of the field
    example: str = ""


SCOPES = (
    _Choice(
        Scope.TOP,
        "The most downloaded",
        "That many models, with all their ancestors. A good start.",
        "number",
        "How many",
        "5000",
    ),
    _Choice(
        Scope.CHANGED,
        "What changed",
        "Models that changed since the last complete crawl. Likes, downloads and deletions don't count as a change.",
    ),
    _Choice(
        Scope.FAMILY,
        "A model's family",
        "One model with its ancestors and descendants, as far as they go.",
        "text",
        "Model",
        "org/name",
    ),
    _Choice(Scope.AUTHOR, "An author", "All models of one user or organisation.", "text", "Author", "org"),
    _Choice(Scope.SEARCH, "A search", "All models whose name the Hub finds by these words.", "text", "Words", "llama"),
    _Choice(
        Scope.EVERYTHING,
        "Everything",
        "The whole Hub, the oldest first; also finds what was deleted. For two million models 11 minutes at the limits "
        "of a free token, 22 without one.",
    ),
)


class _Rows(forms.Widget):
    """Radio buttons, each with a field of its own beside it."""

    template = ""
    use_fieldset = True

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The rows as HTML."""
        context = {"name": name, "id": (attrs or {}).get("id", f"id_{name}"), **self.context(value)}
        return mark_safe(render_to_string(self.template, context))  # noqa: S308 - a template escapes

    def context(self, value: Any) -> dict[str, Any]:
        """What the template shows."""
        raise NotImplementedError

    def id_for_label(self, id_: str, index: Any = None) -> str:
        """No single field bears the label."""
        return ""


class ScopeWidget(_Rows):
    """What to crawl."""

    template = "admin/parts/scope.html"

    def context(self, value: Any) -> dict[str, Any]:
        """The choices, with what was chosen."""
        scope, argument = value or (Scope.TOP, "")
        rows = [
            {"choice": choice, "checked": choice.value == scope, "value": argument if choice.value == scope else ""}
            for choice in SCOPES
        ]
        return {"rows": rows}

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> tuple[str, str]:
        """(scope, argument) as they were sent."""
        scope = str(data.get(name, ""))
        return scope, str(data.get(f"{name}_{scope}", "")).strip()


class ScopeField(forms.Field):
    """A scope with what it needs: ("top", "5000")."""

    widget = ScopeWidget

    def clean(self, value: Any) -> tuple[str, str]:
        """Raises ValidationError where the argument is missing or can't be."""
        scope, argument = value
        choice = next((choice for choice in SCOPES if choice.value == scope), None)
        if choice is None:
            raise ValidationError("Choose what to crawl.")
        if not choice.kind:
            return scope, ""
        if not argument:
            raise ValidationError(f"“{choice.words}” needs a value: {choice.label.lower()}.")
        if choice.kind == "number":
            argument = argument.replace(",", "").replace("\u202f", "").replace(" ", "")
        try:
            return services.checked(scope=scope, argument=argument)
        except BadRequest as error:
            raise ValidationError(str(error)) from error


class RhythmWidget(_Rows):
    """How often."""

    template = "admin/parts/rhythm.html"

    def context(self, value: Any) -> dict[str, Any]:
        """The rhythms, with what was chosen."""
        raw = value if isinstance(value, dict) else (value or Rhythm("daily")).as_dict()
        return {"rhythm": raw, "days": [(str(number), day) for number, day in enumerate(DAYS)]}

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> dict[str, str]:
        """The fields as they were sent."""
        kind = str(data.get(name, ""))
        at = str(data.get(f"{name}_{kind}_at", ""))
        return {
            "kind": kind,
            "hours": str(data.get(f"{name}_hours", "")),
            "day": str(data.get(f"{name}_day", "")),
            "at": at,
        }


class RhythmField(forms.Field):
    """How often a schedule runs."""

    widget = RhythmWidget

    def clean(self, value: Any) -> Rhythm:
        """Raises ValidationError for what is no rhythm."""
        try:
            kind = value["kind"]
            at = time.fromisoformat(value["at"]) if kind != "hours" else time()
            hours = int(value["hours"]) if kind == "hours" else 0
            day = int(value["day"]) if kind == "weekly" else 0
            return Rhythm(kind, hours=hours, day=day, at=at)
        except ValueError as error:
            raise ValidationError(
                "Choose how often: every so many hours (1 to 720), or a time of day as 03:30."
            ) from error


class StartForm(forms.Form):
    """Start a crawl."""

    what = ScopeField(label="What to crawl", initial=(Scope.TOP, "5000"))


class ScheduleForm(forms.ModelForm):
    """Crawl again and again."""

    what = ScopeField(label="What to crawl")
    rhythm = RhythmField(label="How often")

    class Meta:
        model = Schedule
        fields = ("enabled",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial.setdefault("what", (self.instance.scope, self.instance.argument))
            self.initial.setdefault("rhythm", self.instance.rhythm)
        else:
            self.initial.setdefault("what", (Scope.CHANGED, ""))
        self.fields["enabled"].label = "On"
        self.fields["enabled"].help_text = "Off keeps the schedule without running it."

    def validate_unique(self) -> None:
        """Left to the service, which gives beat's row its rhythm and a name of its own."""
