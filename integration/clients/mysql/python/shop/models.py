from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=100, unique=True)
    price = models.DecimalField(max_digits=20, decimal_places=4, null=True, blank=True)
    made = models.DateTimeField(null=True, blank=True)
    data = models.BinaryField(null=True)
    note = models.TextField(null=True, blank=True)
    amount = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "items"

    def __str__(self):
        return self.name


class Work(models.Model):
    id = models.IntegerField(primary_key=True)

    class Meta:
        db_table = "work"
        managed = False


class Tally(models.Model):
    id = models.IntegerField(primary_key=True)
    n = models.IntegerField()

    class Meta:
        db_table = "tally"
        managed = False
