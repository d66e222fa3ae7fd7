"""An index of one entry in 128 on PostgreSQL: see hubapp/searching/indexes.py."""

from django.db import migrations

from hubapp.searching import indexes


def create(apps, schema_editor):
    indexes.create(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("searching", "0004_standing")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
