"""Each recorded scenario of Django, rebuilt on this project's models: by the recording's id, what to run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db.models import prefetch_related_objects
from django.test import RequestFactory

import manometer

from . import scenarios as of, views
from .models import Person, Post, Profile, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Scenario = Callable[[], object]

OTHER = 900
"""Key of a post by the author of the first, and of a tag of nothing."""


@contextmanager
def more_rows() -> Iterator[None]:
    """Add what only some recordings have: a second post by an author, and a tag without an item."""
    Post.objects.create(pk=OTHER, author=Post.objects.get(pk=1).author, text="again")
    Tag.objects.create(pk=OTHER, label="loose")
    try:
        yield
    finally:
        Post.objects.filter(pk=OTHER).delete()
        Tag.objects.filter(pk=OTHER).delete()


# Twins of the families, read as a stream or with few fields.


def profile_streamed() -> object:
    return [profile.person.name for profile in Profile.objects.iterator(chunk_size=2)]


def reverse_profile_streamed() -> object:
    return [person.profile.motto for person in Person.objects.iterator(chunk_size=2)]


def follows_streamed() -> object:
    return [list(person.follows.all()) for person in Person.objects.iterator(chunk_size=2)]


def followers_streamed() -> object:
    return [list(person.followers.all()) for person in Person.objects.iterator(chunk_size=2)]


def deferred_streamed() -> object:
    return [person.name for person in Person.objects.only("id").iterator(chunk_size=2)]


def tags_streamed() -> object:
    return [list(person.tags.all()) for person in Person.objects.iterator(chunk_size=2)]


def items_streamed() -> object:
    return [tag.item.name for tag in Tag.objects.exclude(pk=OTHER).iterator(chunk_size=2)]


def items() -> object:
    return [tag.item.name for tag in Tag.objects.exclude(pk=OTHER)]


def items_prefetched() -> object:
    return [tag.item.name for tag in Tag.objects.exclude(pk=OTHER).prefetch_related("item")]


def posts_joined_streamed() -> object:
    return [post.author.name for post in Post.objects.select_related("author").iterator(chunk_size=2)]


def profiles_joined_streamed() -> object:
    return [
        profile.person.name for profile in Profile.objects.select_related("person").iterator(chunk_size=2)
    ]


def reverse_profiles_joined_streamed() -> object:
    return [
        person.profile.motto for person in Person.objects.select_related("profile").iterator(chunk_size=2)
    ]


def names_streamed() -> object:
    return [person.name for person in Person.objects.only("name").iterator(chunk_size=2)]


def names_wanted() -> object:
    return [person.name for person in Person.objects.only("name")]


def prefetched_with_few_fields() -> object:
    return [post.author.name for post in Post.objects.prefetch_related("author").only("author")]


def followers_in_chunks_of_two() -> object:
    people = Person.objects.prefetch_related("followers").iterator(chunk_size=2)
    return [list(person.followers.all()) for person in people]


def items_in_chunks_of_two() -> object:
    tags = Tag.objects.exclude(pk=OTHER).prefetch_related("item").iterator(chunk_size=2)
    return [tag.item.name for tag in tags]


def blocks() -> object:
    return [list(person.blocks.all()) for person in Person.objects.all()]


def blocks_prefetched() -> object:
    return [list(person.blocks.all()) for person in Person.objects.prefetch_related("blocks")]


def blocked_by_prefetched() -> object:
    return [list(person.person_set.all()) for person in Person.objects.prefetch_related("person_set")]


# Two single objects, each on a line of its own: by `first`, by an index, by `get`.


def two_of(model: Any, keys: tuple[int, int], how: str) -> tuple[Any, Any]:
    if how == "first":
        one = model.objects.filter(pk=keys[0]).first()
        two = model.objects.filter(pk=keys[1]).first()
    elif how == "index":
        one = model.objects.filter(pk=keys[0])[0]
        two = model.objects.filter(pk=keys[1])[0]
    else:
        one = model.objects.get(pk=keys[0])
        two = model.objects.get(pk=keys[1])
    return one, two


def single(model: Any, attribute: str, how: str, keys: tuple[int, int] = (1, 2)) -> Scenario:
    def run() -> object:
        one, two = two_of(model, keys, how)
        first = getattr(one, attribute)
        second = getattr(two, attribute)
        return first, second

    return run


def single_tags(how: str) -> Scenario:
    def run() -> object:
        one, two = two_of(Person, (1, 2), how)
        first = list(one.tags.all())
        second = list(two.tags.all())
        return first, second

    return run


def single_follows(how: str) -> Scenario:
    def run() -> object:
        people = (Person(pk=1), Person(pk=2))
        if how == "first":
            one = people[0].follows.first()
            two = people[1].follows.first()
        elif how == "index":
            one = people[0].follows.all()[0]
            two = people[1].follows.all()[0]
        else:
            one = people[0].follows.get()
            two = people[1].follows.get()
        return one, two

    return run


def single_followers(how: str) -> Scenario:
    def run() -> object:
        people = (Person(pk=1), Person(pk=2))
        if how == "first":
            one = people[0].followers.first()
            two = people[1].followers.first()
        elif how == "index":
            one = people[0].followers.all()[0]
            two = people[1].followers.all()[0]
        else:
            one = people[0].followers.get()
            two = people[1].followers.get()
        return one, two

    return run


def posts_kept() -> object:
    posts = Person(pk=1).posts.all()
    return list(posts), list(posts)


def tags_kept() -> object:
    tags = Person(pk=1).tags.all()
    return list(tags), list(tags)


def posts_on_two_lines() -> object:
    one, two = Person(pk=1), Person(pk=2)
    first = list(one.posts.all())
    second = list(two.posts.all())
    return first, second


def get_twice_in_a_loop() -> object:
    return [Person.objects.get(pk=key) for key in (1, 2)]


def loose_tags() -> object:
    return [tag.item for tag in Tag.objects.filter(pk=OTHER)]


# One view, entered once or twice in one unit of work.


def view_entered_twice() -> object:
    request = RequestFactory().get("/people/")
    first = views.person(request, 1)
    second = views.person(request, 2)
    return first, second


# prefetch_related_objects.


def prefetch_each(manager: Any, relation: str) -> Scenario:
    def run() -> object:
        for each in list(manager.all()):
            prefetch_related_objects([each], relation)
        return None

    return run


def prefetch_each_streamed() -> object:
    for person in Person.objects.iterator(chunk_size=2):
        prefetch_related_objects([person], "posts")
    return None


def prefetch_one(person: Person) -> object:
    prefetch_related_objects([person], "posts")
    return list(person.posts.all())


def prefetch_two_by_name() -> object:
    first = prefetch_one(Person.objects.get(pk=1))
    second = prefetch_one(Person.objects.get(pk=2))
    return first, second


def all_of(manager: Any) -> Scenario:
    return lambda: list(manager.all())


# What somebody has marked as meant.


def expected(scenario: Scenario) -> Scenario:
    def run() -> object:
        with manometer.expected("it is meant to be so"):
            return scenario()

    return run


FIRST_BY_ONE = (1, OTHER)
RECORDED: dict[str, Scenario] = {
    f"zeal-{number:03}": scenario
    for number, scenario in enumerate(
        (
            of.forward_many_to_one, of.forward_many_to_one_joined,
            of.forward_many_to_one_streamed, posts_joined_streamed,
            of.forward_many_to_one_prefetched,
            *(single(Post, "author", how, FIRST_BY_ONE) for how in ("first", "index", "get")),
            of.reverse_many_to_one, of.reverse_many_to_one_prefetched,
            of.reverse_many_to_one_streamed, of.reverse_many_to_one_in_chunks_of_two,
            posts_kept,
            of.forward_one_to_one, of.forward_one_to_one_joined,
            profile_streamed, profiles_joined_streamed,
            of.forward_one_to_one_prefetched,
            *(single(Profile, "person", how) for how in ("first", "index", "get")),
            of.reverse_one_to_one, of.reverse_one_to_one_joined,
            reverse_profile_streamed, reverse_profiles_joined_streamed,
            of.reverse_one_to_one_prefetched,
            *(single(Person, "profile", how) for how in ("first", "index", "get")),
            of.forward_many_to_many_prefetched, of.forward_many_to_many,
            of.forward_many_to_many_in_chunks_of_two, follows_streamed,
            *(single_follows(how) for how in ("first", "index", "get")),
            of.reverse_many_to_many_prefetched, of.reverse_many_to_many,
            followers_in_chunks_of_two, followers_streamed,
            *(single_followers(how) for how in ("first", "index", "get")),
            blocks_prefetched, blocks,
            blocked_by_prefetched, of.many_to_many_without_a_name,
            of.deferred_field, names_wanted,
            deferred_streamed, names_streamed,
            prefetched_with_few_fields,
            of.forward_many_to_one,
            view_entered_twice,
            of.reverse_one_to_one, single(Person, "profile", "get"), single(Person, "profile", "get"),
            get_twice_in_a_loop, of.get_on_lines_of_their_own,
            posts_on_two_lines,
            all_of(Person.objects), prefetch_each(Person.objects, "posts"),
            all_of(Post.objects), prefetch_each(Post.objects, "author"),
            all_of(Person.objects), prefetch_each(Person.objects, "profile"),
            all_of(Person.objects), prefetch_each(Person.objects, "follows"),
            all_of(Person.objects), prefetch_each(Person.objects, "followers"),
            all_of(Person.objects), prefetch_each(Person.objects, "tags"),
            prefetch_each_streamed,
            of.prefetch_for_all_instances,
            prefetch_two_by_name,
            of.generic_relation_prefetched, of.generic_relation,
            of.generic_relation_in_chunks_of_two, tags_streamed,
            *(single_tags(how) for how in ("first", "index", "get")),
            expected(of.generic_relation),
            tags_kept,
            items_prefetched, items,
            items_in_chunks_of_two, items_streamed,
            *(single(Tag, "item", how) for how in ("first", "index", "get")),
            expected(items),
            loose_tags,
        )
    )
}  # fmt: skip
