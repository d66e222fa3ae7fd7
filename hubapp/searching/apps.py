from django.apps import AppConfig


class SearchingConfig(AppConfig):
    name = "hubapp.searching"
    label = "searching"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hubapp.jobs import kinds

        kinds.register(kinds.Kind("search", "analyse", "Search index", lease_seconds=300, rerun=True))
        kinds.register(kinds.Kind("meanings", "analyse", "Cards by meaning", lease_seconds=300, rerun=True))
