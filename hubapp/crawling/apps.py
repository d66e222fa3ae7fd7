from django.apps import AppConfig


class CrawlingConfig(AppConfig):
    name = "hubapp.crawling"
    label = "crawling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hubapp.jobs import kinds

        # A step is one page: seconds. On one machine a killed worker's job is taken back at once; the lease decides
        # only where that can't be seen.
        for name, title in (
            ("crawl", "Crawl"),
            ("reconcile", "Look for what a listing no longer shows"),
            ("cards", "Read model cards"),
        ):
            kinds.register(kinds.Kind(name, "crawl", title, lease_seconds=180, max_attempts=8))
