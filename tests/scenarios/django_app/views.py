from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from rest_framework import serializers, viewsets
from rest_framework.response import Response
from rest_framework.views import APIView
from tests.scenarios.matrix.frameworks import page_of

from .models import Person, Post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def authors(request: Any) -> HttpResponse:
    return HttpResponse(", ".join(post.author.name for post in Post.objects.all()))


def authors_joined(request: Any) -> HttpResponse:
    return HttpResponse(", ".join(post.author.name for post in Post.objects.select_related("author")))


async def authors_async(request: Any) -> HttpResponse:
    names = []
    async for post in Post.objects.all():
        person = await Person.objects.aget(pk=post.author_id)
        names.append(person.name)
    return HttpResponse(", ".join(names))


def names_of(posts: list[Post]) -> list[str]:
    return [post.author.name for post in posts]


async def authors_in_thread(request: Any) -> HttpResponse:
    posts = [post async for post in Post.objects.all()]
    return HttpResponse(", ".join(await sync_to_async(names_of)(posts)))


def _lines() -> Iterator[str]:
    for post in Post.objects.all():
        yield f"{post.author.name}\n"


def export(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(_lines(), content_type="text/plain")


async def _lines_async() -> AsyncIterator[str]:
    async for post in Post.objects.all():
        person = await Person.objects.aget(pk=post.author_id)
        yield f"{person.name}\n"


async def export_async(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(_lines_async(), content_type="text/plain")


def _broken() -> Iterator[str]:
    yield "one\n"
    raise ValueError("the body broke")


def export_broken(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(_broken())


def page(request: Any) -> HttpResponse:
    return render(request, "posts.html", {"posts": Post.objects.order_by("id")})


def page_jinja(request: Any) -> HttpResponse:
    return render(request, "posts.jinja", {"posts": Post.objects.order_by("id")})


def person(request: Any, pk: int) -> JsonResponse:
    return JsonResponse({"name": get_object_or_404(Person, pk=pk).name})


def post_of(request: Any, year: str, slug: str = "") -> HttpResponse:
    return HttpResponse(f"{year} {slug}")


def broken(request: Any) -> HttpResponse:
    raise ValueError("the view broke")


async def broken_async(request: Any) -> HttpResponse:
    raise KeyError("the view broke")


def forbidden(request: Any) -> HttpResponse:
    raise PermissionDenied


class PostSerializer(serializers.ModelSerializer):
    may_edit = serializers.SerializerMethodField()

    class Meta:
        model = Post
        fields = ("id", "may_edit")

    def get_may_edit(self, post: Post) -> bool:
        return post.author.follows.filter(name="person 0").exists()


class PostViewSet(viewsets.ReadOnlyModelViewSet):
    queryset = Post.objects.select_related("author").order_by("id")
    serializer_class = PostSerializer


# The pages of the matrix: what they load is chosen by the test.


def matrix(request: Any, name: str) -> JsonResponse:
    return JsonResponse(page_of(name), safe=False)


async def matrix_async(request: Any, name: str) -> JsonResponse:
    return JsonResponse(await page_of(name), safe=False)


class Matrix(APIView):
    def get(self, request: Any, name: str) -> Response:
        return Response(page_of(name))
