"""Experts for the person in charge: how good they are, train one, put one into or out of service, ask about models."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hubapp.catalog.admin import repo_link
from hubapp.catalog.models import Repo
from hubapp.jobs import audit
from hubapp.jobs.readonly import ReadOnlyAdmin, moment, person
from hubapp.lineage.admin import ByRepoAdmin
from hubapp.probing import services
from hubapp.probing.models import Expert, Reading
from hubapp.weights.admin import ReadsWeights
from workers.errors import RootstockError

CHOSEN = 100  # rows that one action takes


@admin.register(Expert)
class ExpertAdmin(ReadOnlyAdmin):
    """All experts, the latest first."""

    list_display = ("tree", "form", "method", "state", "fitted", "held_out", "unseen", "calibration", "trained", "run")
    list_filter = ("state", "form", "method")
    list_select_related = ("root", "job")
    ordering = ("-id",)
    list_display_links = ("form",)
    actions: Any = ("train_again", "serve", "retire", "ask_tree")
    fields = (
        "tree", "form", "method", "state", "fitted", "several", "qualities", "labels_", "layers_", "text_digest",
        "bytes_read", "trained", "run",
    )  # fmt: skip
    readonly_fields = fields

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Who may add jobs may train, and who may change experts decides which serve."""
        return request.user.has_perm("jobs.add_job") and request.user.has_perm("probing.change_expert")

    @admin.action(description="Train the trees of chosen experts again", permissions=["steer"])
    def train_again(self, request: HttpRequest, rows: QuerySet[Expert]) -> None:
        """One job for each tree."""
        for expert in rows.select_related("root")[:CHOSEN]:
            self._do(request, "Training is queued", kind="train", scope="family", repo=expert.root, again=True)

    @admin.action(description="Ask chosen experts about their whole trees", permissions=["steer"])
    def ask_tree(self, request: HttpRequest, rows: QuerySet[Expert]) -> None:
        """One job for each tree."""
        for expert in rows.select_related("root")[:CHOSEN]:
            self._do(request, "Asking is queued", kind="probe", scope="family", repo=expert.root)

    def _do(self, request: HttpRequest, what: str, **wish: Any) -> None:
        try:
            job = services.ask(**wish, by=person(request))
        except RootstockError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        link = reverse("admin:jobs_job_change", args=[job.pk])
        self.message_user(request, format_html('{}: <a href="{}">job {}</a>.', what, link, job.pk), messages.SUCCESS)

    @admin.action(description="Put into service", permissions=["steer"])
    def serve(self, request: HttpRequest, rows: QuerySet[Expert]) -> None:
        """In place of the one that serves the tree."""
        self._each(request, rows, services.serve, "in service")

    @admin.action(description="Take out of service", permissions=["steer"])
    def retire(self, request: HttpRequest, rows: QuerySet[Expert]) -> None:
        """They are asked no more."""
        self._each(request, rows, services.retire, "out of service")

    def _each(self, request: HttpRequest, rows: QuerySet[Expert], do: Any, word: str) -> None:
        for key in rows.values_list("pk", flat=True)[:CHOSEN]:
            try:
                expert = do(expert_id=key, by=person(request))
            except RootstockError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"{expert} is {word}.", messages.SUCCESS)

    # --- columns ----------------------------------------------------------------------------------------------------
    @admin.display(description="tree")
    def tree(self, expert: Expert) -> SafeString | str:
        """Its root."""
        return repo_link(expert.root)

    def _figure(self, expert: Expert, name: str) -> str:
        value = expert.quality.get(expert.method, {}).get(name)
        return "" if value is None else f"{value:.3f}"

    @admin.display(description="held-out right")
    def held_out(self, expert: Expert) -> str:
        """Share of held-out models whose likeliest label is right."""
        return self._figure(expert, "top1")

    @admin.display(description="unseen labels")
    def unseen(self, expert: Expert) -> str:
        """The same of labels that it was not fitted to, by their text."""
        return self._figure(expert, "zero_shot")

    @admin.display(description="calibration error")
    def calibration(self, expert: Expert) -> str:
        """On held-out models."""
        return self._figure(expert, "calibration_error")

    @admin.display(description="trained (UTC)", ordering="trained_at")
    def trained(self, expert: Expert) -> str:
        """When."""
        return moment(expert.trained_at)

    @admin.display(description="run")
    def run(self, expert: Expert) -> SafeString | str:
        """The job that trained it."""
        if expert.job is None:
            return ""
        return format_html(
            '<a href="{}">job {}</a>', reverse("admin:jobs_job_change", args=[expert.job_id]), expert.job_id
        )

    @admin.display(description="methods compared")
    def qualities(self, expert: Expert) -> SafeString:
        """How each did on held-out models."""
        keys = ("top1", "top5", "zero_shot", "auc", "calibration_error", "answered", "models", "seconds")
        lines = [
            (method, ", ".join(f"{key.replace('_', ' ')} {found[key]}" for key in keys if found.get(key) is not None))
            for method, found in expert.quality.items()
        ]
        return format_html_join("", "<p><strong>{}</strong>: {}</p>", lines)

    @admin.display(description="labels, with the share of held-out models told right")
    def labels_(self, expert: Expert) -> str:
        """All labels."""
        per = expert.quality.get(expert.method, {}).get("per_label", {})
        return ", ".join(f"{label} {per[label]:.2f}" if label in per else label for label in expert.labels)

    @admin.display(description="layers")
    def layers_(self, expert: Expert) -> str:
        """Which it reads."""
        return ", ".join(f"{name} {out} x {inner}" for name, out, inner in expert.layers)


@admin.register(Reading)
class ReadingAdmin(ByRepoAdmin):
    """What the experts said."""

    list_display = ("repo_", "state", "reason", "likeliest", "claimed", "expert", "when")
    list_display_links = ("state",)
    list_filter = ("state", "reason")
    list_select_related = ("repo", "expert", "expert__root")
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    fields = (
        "repo_", "state", "reason", "likeliest", "claimed", "learned", "expert", "distance", "revision",
        "bytes_read", "when",
    )  # fmt: skip

    @admin.display(description="model")
    def repo_(self, reading: Reading) -> SafeString | str:
        """Whose weights."""
        return repo_link(reading.repo)

    @admin.display(description="likeliest")
    def likeliest(self, reading: Reading) -> str:
        """All guesses."""
        return ", ".join(f"{label} {p:.2f}" for label, p in reading.guesses)

    @admin.display(description="its card says")
    def claimed(self, reading: Reading) -> str:
        """In the expert's labels."""
        return ", ".join(reading.claims)

    @admin.display(description="read (UTC)")
    def when(self, reading: Reading) -> str:
        """When."""
        return moment(reading.read_at)


class AsksExperts(ReadsWeights):
    """Actions of a list of repos, with those of reading weights: train their trees' experts, ask these about them."""

    actions: Any = (*ReadsWeights.actions, "train_tree", "ask_expert", "ask_expert_family")

    @admin.action(description="Train an expert for their trees", permissions=["read_weights"])
    def train_tree(self, request: HttpRequest, rows: QuerySet[Repo]) -> None:
        """One job for each."""
        self._probing(request, rows, "train", "family")

    @admin.action(description="Ask experts what chosen models were trained on", permissions=["read_weights"])
    def ask_expert(self, request: HttpRequest, rows: QuerySet[Repo]) -> None:
        """One job for each."""
        self._probing(request, rows, "probe", "model")

    @admin.action(description="Ask experts about their families", permissions=["read_weights"])
    def ask_expert_family(self, request: HttpRequest, rows: QuerySet[Repo]) -> None:
        """One job for each family."""
        self._probing(request, rows, "probe", "family")

    def _probing(self, request: HttpRequest, rows: QuerySet[Repo], kind: str, scope: str) -> None:
        chosen = list(rows[: CHOSEN + 1])
        if len(chosen) > CHOSEN:
            self.message_user(request, f"Choose {CHOSEN} models at most; a family is one job.", messages.ERROR)
            return
        for repo in chosen:
            try:
                job = services.ask(kind=kind, scope=scope, repo=repo, by=person(request))
            except RootstockError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                audit.record(by=person(request), target=job, what=f"{kind} for {repo.name} ({scope}).", added=True)
        what = "Training" if kind == "train" else "Asking"
        self.message_user(request, f"{what} for {len(chosen):,} ({scope}) is queued.", messages.SUCCESS)
