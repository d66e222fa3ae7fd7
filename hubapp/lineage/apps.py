from django.apps import AppConfig


class LineageConfig(AppConfig):
    name = "hubapp.lineage"
    label = "lineage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hubapp.jobs import kinds

        # rerun: it empties the list of dirty repos, which crawls fill while it runs.
        kinds.register(
            kinds.Kind("lineage", queue="analyse", title="Families and descent", lease_seconds=300, rerun=True)
        )
