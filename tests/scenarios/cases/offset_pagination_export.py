"""exporting a table page by page with OFFSET: each page is slower than the one before.

Link: aboutcode-org/vulnerablecode#1798 (same class: Scifabric/pybossa#1138, fecgov/openFEC#994).  Walking 8
million rows with a Paginator was not finished after 20 minutes and the estimate kept getting worse (the
second 10 % took twice as long as the first); a streaming cursor needs 4 minutes.

Unit of work: request() (the export job).  Size n: rows in the table.
Expected finding: super-linear growth: the page query (LIMIT 500 OFFSET k) slows down steadily within one run
(last page many times slower than the first), so the job is O(n^2 / page); statement count itself is only
n / 500 and each statement returns 500 rows, so this is NOT an N+1.
"""

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()

from django.core.paginator import Paginator  # noqa: E402
from django.db import connection, models  # noqa: E402

SIZES = (3_000, 6_000, 12_000)
PER_PAGE = 500


class Advisory(models.Model):
    summary = models.TextField()
    severity = models.IntegerField()

    class Meta:
        app_label = "case"


def paginated(queryset, per_page: int):
    paginator = Paginator(queryset, per_page)
    for number in paginator.page_range:
        yield from paginator.page(number).object_list


def request() -> int:
    queryset = (
        Advisory.objects.exclude(summary__contains="withdrawn").order_by("id").values_list("id", "severity")
    )
    return sum(severity for _, severity in paginated(queryset, PER_PAGE))


def setup(rows: int) -> None:
    if Advisory._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Advisory)
    missing = rows - Advisory.objects.count()
    text = "A flaw in the parser lets a remote party read past the end of a buffer. " * 12
    Advisory.objects.bulk_create(
        [Advisory(summary=text, severity=i % 10) for i in range(missing)], batch_size=1000
    )


def main(n: int) -> int:
    setup(n)
    return request()


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
