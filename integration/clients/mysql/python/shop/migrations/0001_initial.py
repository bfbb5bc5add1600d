from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Item", [
            ("id", models.AutoField(primary_key=True, serialize=False)),
            ("name", models.CharField(max_length=100)),
            ("price", models.DecimalField(max_digits=20, decimal_places=4, null=True, blank=True)),
            ("made", models.DateTimeField(null=True, blank=True)),
            ("data", models.BinaryField(null=True)),
            ("remark", models.TextField(null=True, blank=True)),
        ], options={"db_table": "items"}),
    ]
