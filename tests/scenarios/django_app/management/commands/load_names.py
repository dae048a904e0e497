from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand
from tests.scenarios.matrix.frameworks import page_of


class Command(BaseCommand):
    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("path")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(page_of(options["path"])))
