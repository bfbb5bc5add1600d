from django.contrib import admin

from .models import Item


@admin.register(Item)
class ItemAdmin(admin.ModelAdmin):
    fields = ["name", "note"]
    search_fields = ["name"]
