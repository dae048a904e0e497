from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

PEOPLE = 12


class Person(models.Model):
    name = models.CharField(max_length=40)
    follows = models.ManyToManyField("self", symmetrical=False, related_name="followers")
    blocks = models.ManyToManyField("self", symmetrical=False)
    tags = GenericRelation("Tag")


class Profile(models.Model):
    person = models.OneToOneField(Person, on_delete=models.CASCADE, related_name="profile")
    motto = models.CharField(max_length=40)


class Post(models.Model):
    author = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="posts")
    text = models.CharField(max_length=40)
    is_draft = models.BooleanField(default=False)


class Tag(models.Model):
    label = models.CharField(max_length=40)
    content_type = models.ForeignKey(ContentType, null=True, on_delete=models.CASCADE)
    object_id = models.PositiveIntegerField(null=True)
    item = GenericForeignKey()


def fill() -> None:
    people = [Person.objects.create(name=f"person {at}") for at in range(PEOPLE)]
    Profile.objects.bulk_create([Profile(person=person, motto="m") for person in people])
    for at, person in enumerate(reversed(people)):
        Post.objects.create(author=person, text=f"post {at}", is_draft=at % 3 == 0)
        Tag.objects.create(label="tag", item=person)
        person.follows.add(people[at - 1])
        person.blocks.add(people[at - 2])
