from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "hubapp.jobs"
    label = "jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hubapp.jobs import checks  # noqa: F401 - registers them
