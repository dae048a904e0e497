"""a REST list whose serializer asks the permission table again for every row.

Link: paperless-ngx/paperless-ngx#13204 (same class: #3201, #13505).  Each serialised document that is
not owned by the caller built a new permission checker, and the checker ran one query; the fix resolves
the permissions of the whole page in two queries.

Unit of work: request().  Size n: documents on the page (all owned by somebody else).
Expected finding: N+1: DocumentSerializer.get_user_can_change -> ObjectPermissionChecker.has_perm runs the
same SELECT on case_objectpermission n times (object id differs, user and codename do not).
"""

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
)
django.setup()

from django.db import connection, models  # noqa: E402
from rest_framework import generics, pagination, serializers  # noqa: E402
from rest_framework.test import APIRequestFactory  # noqa: E402

SIZES = (25, 100)


class Document(models.Model):
    title = models.CharField(max_length=80)
    owner_id = models.IntegerField()

    class Meta:
        app_label = "case"


class ObjectPermission(models.Model):
    user_id = models.IntegerField()
    codename = models.CharField(max_length=40)
    object_pk = models.CharField(max_length=40)

    class Meta:
        app_label = "case"


class ObjectPermissionChecker:
    def __init__(self, user_id: int):
        self.user_id = user_id

    def has_perm(self, codename: str, obj) -> bool:
        perms = ObjectPermission.objects.filter(user_id=self.user_id, object_pk=str(obj.pk))
        return codename in perms.values_list("codename", flat=True)


class DocumentSerializer(serializers.ModelSerializer):
    user_can_change = serializers.SerializerMethodField()

    class Meta:
        model = Document
        fields = ("id", "title", "user_can_change")

    def get_user_can_change(self, obj) -> bool:
        user_id = self.context["user_id"]
        return obj.owner_id == user_id or ObjectPermissionChecker(user_id).has_perm("change_document", obj)


class Page(pagination.PageNumberPagination):
    page_size_query_param = "page_size"


class DocumentList(generics.ListAPIView):
    queryset = Document.objects.order_by("id")
    serializer_class = DocumentSerializer
    pagination_class = Page

    def get_serializer_context(self):
        return {**super().get_serializer_context(), "user_id": 7}


def request(page_size: int):
    response = DocumentList.as_view()(APIRequestFactory().get("/documents/", {"page_size": page_size}))
    return response.render()


def setup(rows: int) -> None:
    with connection.schema_editor() as editor:
        for model in (Document, ObjectPermission):
            if model._meta.db_table not in connection.introspection.table_names():
                editor.create_model(model)
    if not Document.objects.exists():
        Document.objects.bulk_create([Document(title=f"doc {i}", owner_id=i % 5) for i in range(rows)])
        ObjectPermission.objects.bulk_create(
            [
                ObjectPermission(user_id=7, codename="change_document", object_pk=str(i))
                for i in range(1, rows, 3)
            ]
        )


def main(n: int) -> int:
    setup(200)
    return len(request(n).content)


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
