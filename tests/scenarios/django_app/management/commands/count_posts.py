from __future__ import annotations

from typing import Any

from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from ...models import Person


class Command(BaseCommand):
    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--fail", action="store_true")
        parser.add_argument("--inner", action="store_true")
        parser.add_argument("--leave", type=int, default=-1)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["fail"]:
            raise CommandError("as asked")
        if options["leave"] >= 0:
            raise SystemExit(options["leave"])
        if options["inner"]:
            call_command("count_posts", stdout=self.stdout)
            return
        for person in Person.objects.all():
            self.stdout.write(str(person.posts.count()))
