from django.db import migrations, models


def fill(apps, _):
    item = apps.get_model("shop", "Item")
    item.objects.create(name="of the migration")
    item.objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.AlterField("Item", "name", models.CharField(max_length=100, unique=True)),
        migrations.RenameField("Item", "remark", "note"),
        migrations.AddField("Item", "amount", models.PositiveIntegerField(default=1)),
        migrations.AddIndex("Item", models.Index(fields=["made"], name="items_made")),
        migrations.RemoveIndex("Item", "items_made"),
        migrations.CreateModel("Work", [("id", models.IntegerField(primary_key=True, serialize=False))],
                               options={"db_table": "work", "managed": False}),
        migrations.CreateModel("Tally", [("id", models.IntegerField(primary_key=True, serialize=False)), ("n", models.IntegerField())],
                               options={"db_table": "tally", "managed": False}),
        migrations.RunPython(fill),
        migrations.RunSQL("ALTER TABLE items AUTO_INCREMENT=1"),
    ]
