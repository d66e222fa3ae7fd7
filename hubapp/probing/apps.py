from django.apps import AppConfig


class ProbingConfig(AppConfig):
    name = "hubapp.probing"
    label = "probing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hubapp.jobs import kinds

        # a fit renews its lease every few batches; reading a model over a slow line may be silent for a while
        kinds.register(kinds.Kind("train", queue="gpu", title="Train experts", lease_seconds=300))
        kinds.register(
            kinds.Kind("probe", queue="gpu", title="Ask experts", lease_seconds=300, max_attempts=8, rerun=True)
        )
