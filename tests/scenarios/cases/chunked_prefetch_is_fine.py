"""an export streams a big table and prefetches relations once per chunk, on purpose.

Link: django/django#15334 (iterator() with prefetch_related: one further query per chunk is the documented price of
bounded memory); counterpart of django-import-export/django-import-export#1050, where a default chunk size of
ONE turned the same code into a real N+1.

Unit of work: request() (the export).  Size n: rows.
Expected: NO finding.  n / 500 prefetch statements with IN lists of 500 ids, no id fetched twice, about 1000 rows per
statement; statements per row = 0.002.  Growing with n is right for a stream.
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

from django.db import connection, models  # noqa: E402

SIZES = (1_500, 4_000)
CHUNK = 500


class Document(models.Model):
    title = models.CharField(max_length=60)

    class Meta:
        app_label = "case"


class Note(models.Model):
    document = models.ForeignKey(Document, related_name="notes", on_delete=models.CASCADE)
    text = models.CharField(max_length=60)

    class Meta:
        app_label = "case"


def export_row(document: Document) -> str:
    return f"{document.id};{document.title};{'|'.join(note.text for note in document.notes.all())}"


def request() -> int:
    queryset = Document.objects.order_by("id").prefetch_related("notes")
    return sum(len(export_row(document)) for document in queryset.iterator(chunk_size=CHUNK))


def setup(rows: int) -> None:
    if Document._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Document)
            editor.create_model(Note)
    start = Document.objects.count()
    Document.objects.bulk_create(
        [Document(title=f"document {i}") for i in range(start, rows)], batch_size=400
    )
    Note.objects.bulk_create(
        [Note(document_id=1 + i // 2, text=f"note {i}") for i in range(start * 2, rows * 2)], batch_size=400
    )


def main(n: int) -> int:
    setup(n)
    return request()


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
