from django.apps import AppConfig


class WeightsConfig(AppConfig):
    name = "hubapp.weights"
    label = "weights"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hubapp.jobs import kinds

        # rerun: asked for again after a crawl while it runs, it looks at what that crawl brought.
        kinds.register(
            kinds.Kind("inspect", queue="analyse", title="Read weights", lease_seconds=300, max_attempts=8, rerun=True)
        )
        kinds.register(
            kinds.Kind(
                "verify",
                queue="analyse",
                title="Hold descent against weights",
                lease_seconds=300,
                max_attempts=8,
                rerun=True,
            )
        )
