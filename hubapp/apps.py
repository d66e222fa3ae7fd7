"""Puts our own admin site in the place of Django's."""

from django.contrib.admin.apps import AdminConfig


class RootstockAdminConfig(AdminConfig):
    default_site = "hubapp.site.RootstockAdmin"

    def ready(self) -> None:
        super().ready()
        from hubapp import checks  # noqa: F401 - registers them
