"""the list prefetches a relation, the property filters it again: the prefetch is wasted, N+1 remains.

Link: netbox-community/netbox#18606 (UI racks table; 123 statements for 42 racks, 85 after one prefetch that worked
and one that did nothing, because the property builds a new, filtered queryset).

Unit of work: request() (the rack table).  Size n: racks.
Expected findings: (1) N+1: Rack.utilization -> Rack.available_units runs SELECT ... FROM case_device WHERE rack_id = ? AND
position IS NOT NULL n times; (2) wasted work: the rows of the prefetch statement on case_device (IN list of n ids) are
never read.  "Add prefetch_related" would be the wrong advice: it is there already.
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

SIZES = (20, 80)


class Rack(models.Model):
    name = models.CharField(max_length=30)
    height = models.IntegerField(default=42)

    class Meta:
        app_label = "case"

    def available_units(self) -> int:
        used = self.devices.filter(position__isnull=False)
        return self.height - sum(device.u_height for device in used)

    def reserved_units(self) -> int:
        return sum(r.units for r in self.reservations.all())

    @property
    def utilization(self) -> float:
        return 1 - (self.available_units() - self.reserved_units()) / self.height


class Device(models.Model):
    rack = models.ForeignKey(Rack, related_name="devices", on_delete=models.CASCADE)
    position = models.IntegerField(null=True)
    u_height = models.IntegerField()

    class Meta:
        app_label = "case"


class Reservation(models.Model):
    rack = models.ForeignKey(Rack, related_name="reservations", on_delete=models.CASCADE)
    units = models.IntegerField()

    class Meta:
        app_label = "case"


def request(limit: int) -> list[tuple[str, float]]:
    racks = Rack.objects.order_by("id").prefetch_related("reservations", "devices")[:limit]
    return [(rack.name, round(rack.utilization, 3)) for rack in racks]


def setup(rows: int) -> None:
    if Rack._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            for model in (Rack, Device, Reservation):
                editor.create_model(model)
        Rack.objects.bulk_create([Rack(name=f"R{i}") for i in range(rows)])
        Device.objects.bulk_create(
            [
                Device(rack_id=1 + i % rows, position=i if i % 4 else None, u_height=1 + i % 2)
                for i in range(rows * 8)
            ]
        )
        Reservation.objects.bulk_create([Reservation(rack_id=1 + i, units=2) for i in range(0, rows, 3)])


def main(n: int) -> float:
    setup(100)
    return round(sum(value for _, value in request(n)), 3)


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
