"""Addresses of the pages. A model's id is a path of one or two parts, so it always comes last in its address."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from hubapp.web import about, alike, compare, crawls, families, home, merge, model, search, tree

app_name = "web"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("live", home.live, name="live"),
    path("search", search.search, name="search"),
    path("search/suggest", search.suggest, name="suggest"),
    path("datasets/<path:name>", search.dataset, name="dataset"),
    path("authors/<path:name>", search.author, name="author"),
    path("models/<path:name>", model.model, name="model"),
    path("alike/<path:name>", alike.alike, name="alike"),
    path("children/<path:name>", model.children, name="children"),
    path("fetch/<path:name>", model.fetch, name="fetch"),
    path("read-weights/<path:name>", model.read_weights, name="read_weights"),
    path("tree/<path:name>", tree.tree, name="tree"),
    path("tree-data/open/<path:name>", tree.opened, name="tree_open"),
    path("tree-data/children/<int:pk>", tree.children, name="tree_children"),
    path("tree-data/parents/<int:pk>", tree.parents, name="tree_parents"),
    path("tree-data/find/<int:pk>", tree.find, name="tree_find"),
    path("tree-data/path", tree.path, name="tree_path"),
    path("tree-export/<slug:kind>/<path:name>", tree.export, name="tree_export"),
    path("compare", compare.compare, name="compare"),
    path("compare/names", compare.names, name="compare_names"),
    path("merge", merge.merge, name="merge"),
    path("merge/recipe", merge.recipe, name="merge_recipe"),
    path("merge/compare", merge.compare, name="merge_compare"),
    path("families", families.families, name="families"),
    path("families/<path:name>", families.family, name="family"),
    path("crawls", crawls.crawls, name="crawls"),
    path("crawls/<int:pk>", crawls.crawl, name="crawl"),
    path("about", about.about, name="about"),
    path("robots.txt", about.robots, name="robots"),
    path("favicon.ico", about.favicon, name="favicon"),
]
