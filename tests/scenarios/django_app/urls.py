from __future__ import annotations

from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from . import views

router = SimpleRouter()
router.register("posts", views.PostViewSet)

archive = [
    re_path(r"^(?P<year>[0-9]{4})/(?P<slug>[\w-]+)/$", views.post_of),
    path("<str:year>", views.post_of),
]

urlpatterns = [
    path("authors/", views.authors),
    path("authors-joined/", views.authors_joined),
    path("authors-async/", views.authors_async),
    path("authors-in-thread/", views.authors_in_thread),
    path("export/", views.export),
    path("export-async/", views.export_async),
    path("export-broken/", views.export_broken),
    path("page/", views.page),
    path("page-jinja/", views.page_jinja),
    path("people/<int:pk>/", views.person),
    path("archive/", include(archive)),
    path("api/", include(router.urls)),
    path("broken/", views.broken),
    path("broken-async/", views.broken_async),
    path("forbidden/", views.forbidden),
    path("matrix/<str:name>/", views.matrix),
    path("matrix-async/<str:name>/", views.matrix_async),
    path("matrix-drf/<str:name>/", views.Matrix.as_view()),
]
