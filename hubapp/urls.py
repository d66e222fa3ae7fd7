"""The site's addresses: the pages, the API, the admin."""

from django.contrib import admin
from django.urls import include, path

from hubapp.api.site import api

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("", include("hubapp.web.urls")),
]

handler400 = "hubapp.web.errors.bad_request"
handler403 = "hubapp.web.errors.permission_denied"
handler404 = "hubapp.web.errors.not_found"
handler500 = "hubapp.web.errors.server_error"
