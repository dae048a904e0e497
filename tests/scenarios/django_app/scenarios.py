"""The families of the recorded ORM scenarios, written as units of work, with what is true of each.

`GUILTY` are N+1, `INNOCENT` have no finding at all, `CHUNKED` prefetch two rows at a time, `TWICE` read a row twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Prefetch, prefetch_related_objects

from .models import Person, Post, Profile, Tag

if TYPE_CHECKING:
    from collections.abc import Callable

    Scenario = Callable[[], object]

GUILTY: dict[str, tuple[Scenario, str]] = {}
INNOCENT: dict[str, Scenario] = {}
CHUNKED: dict[str, Scenario] = {}
TWICE: dict[str, Scenario] = {}
BYPASSED: dict[str, Scenario] = {}


def guilty(advice: str) -> Callable[[Scenario], Scenario]:
    def note(scenario: Scenario) -> Scenario:
        GUILTY[scenario.__name__] = (scenario, advice)
        return scenario

    return note


def one_of(table: dict[str, Scenario]) -> Callable[[Scenario], Scenario]:
    def note(scenario: Scenario) -> Scenario:
        table[scenario.__name__] = scenario
        return scenario

    return note


innocent, chunked, twice, bypassed = map(one_of, (INNOCENT, CHUNKED, TWICE, BYPASSED))

# Forward: a foreign key, a one-to-one field.


@guilty("select_related")
def forward_many_to_one() -> object:
    return [post.author.name for post in Post.objects.all()]


@guilty("select_related")
def forward_many_to_one_streamed() -> object:
    return [post.author.name for post in Post.objects.iterator(chunk_size=2)]


@innocent
def forward_many_to_one_joined() -> object:
    return [post.author.name for post in Post.objects.select_related("author")]


@innocent
def forward_many_to_one_prefetched() -> object:
    return [post.author.name for post in Post.objects.prefetch_related("author")]


@guilty("select_related")
def forward_one_to_one() -> object:
    return [profile.person.name for profile in Profile.objects.all()]


@innocent
def forward_one_to_one_joined() -> object:
    return [profile.person.name for profile in Profile.objects.select_related("person")]


@innocent
def forward_one_to_one_prefetched() -> object:
    return [profile.person.name for profile in Profile.objects.prefetch_related("person")]


# Reverse.


@guilty("prefetch_related")
def reverse_many_to_one() -> object:
    return [list(person.posts.all()) for person in Person.objects.all()]


@guilty("prefetch_related")
def reverse_many_to_one_streamed() -> object:
    return [list(person.posts.all()) for person in Person.objects.iterator(chunk_size=2)]


@innocent
def reverse_many_to_one_prefetched() -> object:
    return [list(person.posts.all()) for person in Person.objects.prefetch_related("posts")]


@chunked
def reverse_many_to_one_in_chunks_of_two() -> object:
    people = Person.objects.prefetch_related("posts").iterator(chunk_size=2)
    return [list(person.posts.all()) for person in people]


@innocent
def reverse_many_to_one_in_one_chunk() -> object:
    people = Person.objects.prefetch_related("posts").iterator(chunk_size=500)
    return [list(person.posts.all()) for person in people]


@guilty("select_related")
def reverse_one_to_one() -> object:
    return [person.profile.motto for person in Person.objects.all()]


@innocent
def reverse_one_to_one_joined() -> object:
    return [person.profile.motto for person in Person.objects.select_related("profile")]


@innocent
def reverse_one_to_one_prefetched() -> object:
    return [person.profile.motto for person in Person.objects.prefetch_related("profile")]


# Many to many.


@guilty("prefetch_related")
def forward_many_to_many() -> object:
    return [list(person.follows.all()) for person in Person.objects.all()]


@innocent
def forward_many_to_many_prefetched() -> object:
    return [list(person.follows.all()) for person in Person.objects.prefetch_related("follows")]


@chunked
def forward_many_to_many_in_chunks_of_two() -> object:
    people = Person.objects.prefetch_related("follows").iterator(chunk_size=2)
    return [list(person.follows.all()) for person in people]


@guilty("prefetch_related")
def reverse_many_to_many() -> object:
    return [list(person.followers.all()) for person in Person.objects.all()]


@innocent
def reverse_many_to_many_prefetched() -> object:
    return [list(person.followers.all()) for person in Person.objects.prefetch_related("followers")]


@guilty("prefetch_related")
def many_to_many_without_a_name() -> object:
    return [list(person.person_set.all()) for person in Person.objects.all()]


# Generic relations.


@guilty("prefetch_related")
def generic_relation() -> object:
    return [list(person.tags.all()) for person in Person.objects.all()]


@innocent
def generic_relation_prefetched() -> object:
    return [list(person.tags.all()) for person in Person.objects.prefetch_related("tags")]


@chunked
def generic_relation_in_chunks_of_two() -> object:
    people = Person.objects.prefetch_related("tags").iterator(chunk_size=2)
    return [list(person.tags.all()) for person in people]


@guilty("prefetch_related")
def generic_foreign_key() -> object:
    return [tag.item.name for tag in Tag.objects.all()]


@innocent
def generic_foreign_key_prefetched() -> object:
    return [tag.item.name for tag in Tag.objects.prefetch_related("item")]


# Fields that were left out, and rows that are fetched by themselves.


@guilty("deferred field")
def deferred_field() -> object:
    return [person.name for person in Person.objects.only("id")]


@guilty("select_related")
def deferred_field_of_a_joined_row() -> object:
    return [post.author.name for post in Post.objects.select_related("author").only("author__id")]


@innocent
def fields_that_are_wanted() -> object:
    return [post.author.name for post in Post.objects.select_related("author").only("author__name")]


@guilty("in_bulk")
def get_in_a_loop() -> object:
    return [Person.objects.get(pk=key).name for key in (1, 2, 3)]


@innocent
def get_on_lines_of_their_own() -> object:
    first = Person.objects.get(pk=1)
    second = Person.objects.get(pk=2)
    return first, second


@innocent
def single_objects() -> object:
    first = Person.objects.get(pk=1)
    second = Person.objects.get(pk=2)
    return list(first.posts.all()), list(second.posts.all())


@innocent
def many_keys_at_once() -> object:
    return Person.objects.in_bulk([post.author_id for post in Post.objects.all()])


@twice
def same_row_on_two_lines() -> object:
    first, second = Post.objects.get(pk=1), Post.objects.get(pk=1)
    return first.author.name, second.author.name


# prefetch_related_objects.


@guilty("prefetch_related_objects")
def prefetch_for_each_instance() -> object:
    people = list(Person.objects.all())
    for person in people:
        prefetch_related_objects([person], "posts")
    return people


@innocent
def prefetch_for_all_instances() -> object:
    people = list(Person.objects.all())
    prefetch_related_objects(people, "posts")
    return [list(person.posts.all()) for person in people]


# A prefetch that is asked again.


@bypassed
def filter_of_what_was_prefetched() -> object:
    return [list(person.posts.filter(is_draft=False)) for person in Person.objects.prefetch_related("posts")]


@bypassed
def order_of_what_was_prefetched() -> object:
    people = Person.objects.prefetch_related("follows")
    return [list(person.follows.order_by("name")) for person in people]


@bypassed
def first_of_what_was_prefetched() -> object:
    people = Person.objects.prefetch_related("posts")
    return [person.posts.filter(is_draft=True).first() for person in people]


@guilty("Count(")
def count_of_each() -> object:
    return [person.posts.count() for person in Person.objects.all()]


@guilty("Exists(")
def existence_of_each() -> object:
    return [person.posts.filter(is_draft=True).exists() for person in Person.objects.all()]


@innocent
def filter_in_python() -> object:
    people = Person.objects.prefetch_related("posts")
    return [[post for post in person.posts.all() if not post.is_draft] for person in people]


@innocent
def prefetch_filtered() -> object:
    written = Prefetch("posts", queryset=Post.objects.filter(is_draft=False), to_attr="written")
    return [person.written for person in Person.objects.prefetch_related(written)]
