"""Admin pages to look at, not to write in; and to look at tables of millions without counting them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse

COUNTED = 10_000  # rows that are counted; beyond them a list says "10,000+" and pages no further


def moment(when: datetime | None) -> str:
    """A time to the minute; "" where there is none. Its heading says UTC."""
    return f"{when:%Y-%m-%d %H:%M}" if when is not None else ""


def person(request: HttpRequest) -> User:
    """Who asks. Every view of the admin has let nobody else in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def distinct(rows: models.QuerySet[Any], field: str, *, limit: int = 50) -> list[str]:
    """The values of an indexed field, in order: one look-up for each along the index, instead of a scan of all rows."""
    values: list[str] = []
    while len(values) < limit:
        after = rows.filter(**{f"{field}__gt": values[-1]}) if values else rows
        value = after.order_by(field).values_list(field, flat=True).first()
        if value is None:
            break
        values.append(value)
    return values


class ReadOnlyAdmin(admin.ModelAdmin):
    """Everything can be seen by who may view it, and nothing changed: services do that."""

    show_facets = admin.ShowFacets.NEVER  # each facet is a count of its own
    actions: Any = None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, under the plain name of what it lists."""
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one adds rows here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one edits rows here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one deletes rows here."""
        return False


class CappedPaginator(Paginator):
    """Counts up to a cap: what lies beyond is found by search and filters, not by leafing."""

    @property
    def count(self) -> int:
        """How many rows there are, COUNTED at most."""
        if not hasattr(self, "_count"):
            rows = self.object_list
            # Without its order the database may stop at the cap on any index it likes.
            self._count = rows.order_by()[:COUNTED].count() if isinstance(rows, models.QuerySet) else len(rows)
        return self._count


class LargeTableAdmin(ReadOnlyAdmin):
    """A read-only list of a table of any size: no full count, no search that scans."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    sortable_by = ()  # any other order than the index's would sort the whole table
