"""Names of Django's routes: converters and regular expressions as templates."""

from __future__ import annotations

import pytest

from manometer.sources._django_route import template_of


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("", "/"),
        ("orders/<int:id>/", "/orders/{id}/"),
        ("orders/<id>", "/orders/{id}"),
        ("files/<slug:shelf>/<path:rest>", "/files/{shelf}/{rest}"),
        (r"^orders/(?P<pk>[^/.]+)/$", "/orders/{pk}/"),
        (r"^orders/(?P<pk>[^/.]+)\.(?P<format>[a-z0-9]+)/?$", "/orders/{pk}.{format}/"),
        (r"api/^v(\d+)/orders\Z", "/api/v{}/orders"),
        (r"^archive/(?P<year>(?:19|20)\d\d)/$", "/archive/{year}/"),
        (r"^(?:en|de)/orders/$", "/{}/orders/"),
        (r"^page/(?:comments/)?$", "/page/comments/"),
        (r"^a/[a-z]+/\d{4}/.*$", "/a/{}/{}/{}"),
        (r"^tag/(?P<tag>[]()]+)$", "/tag/{tag}"),
        (r"^(?!admin)x$", "/x"),
        ("broken(", "/broken("),
        ("broken[", "/broken["),
        ("trailing\\", "/trailing\\"),
    ],
)
def test_a_route_is_written_as_a_template(route: str, template: str) -> None:
    assert template_of(route) == template
    assert template_of(route) == template  # remembered


def test_a_long_route_is_cut() -> None:
    assert len(template_of("x" * 5_000)) <= 1_025
