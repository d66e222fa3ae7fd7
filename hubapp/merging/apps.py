from django.apps import AppConfig


class MergingConfig(AppConfig):
    name = "hubapp.merging"
    label = "merging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hubapp.jobs import kinds

        kinds.register(kinds.Kind("merge", queue="analyse", title="Compare weights for a merge", lease_seconds=600))
