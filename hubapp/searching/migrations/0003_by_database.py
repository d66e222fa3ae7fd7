"""The indexes that differ by database: see hubapp/searching/indexes.py."""

from django.db import migrations

from hubapp.searching import indexes


def create(apps, schema_editor):
    indexes.create(schema_editor.connection)


def drop(apps, schema_editor):
    indexes.drop(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("searching", "0002_index")]
    operations = [migrations.RunPython(create, drop)]
