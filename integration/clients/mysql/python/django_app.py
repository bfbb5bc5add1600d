"""Django with mysqlclient as an application: see ../doc.go for what each program does."""
import datetime
import decimal
import os
import sys
import time

import django
from django.conf import settings
from django.core.management import call_command


def database(address):
    host, port = address.split(":")
    return {"ENGINE": "django.db.backends.mysql", "NAME": os.environ["NEXUS_DATABASE"], "USER": "app", "PASSWORD": "app",
            "HOST": host, "PORT": port, "CONN_MAX_AGE": None,
            "OPTIONS": {"charset": "utf8mb4", "connect_timeout": 2, "read_timeout": 10}}


addresses = os.environ.get("NEXUS_ADDRESSES", "{NEXUS_HOST}:{NEXUS_PORT}".format_map({"NEXUS_HOST": "", "NEXUS_PORT": "", **os.environ})).split(",")
settings.configure(
    DATABASES={("default" if i == 0 else f"node{i}"): database(a) for i, a in enumerate(addresses)},
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages",
                    "django.contrib.sessions", "shop"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages"]}}],
    ROOT_URLCONF="shop.urls", SECRET_KEY="nexus", ALLOWED_HOSTS=["*"], USE_TZ=False, STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import DatabaseError, IntegrityError, InterfaceError, connections, transaction  # noqa: E402
from django.db.models import F  # noqa: E402
from django.test import Client  # noqa: E402
from shop.models import Item, Tally, Work  # noqa: E402


def count(name):
    print(f"{name}={Item.objects.count()}")


def features():
    for _ in range(2):  # the second finds nothing to do
        call_command("migrate", verbosity=0)
    item = Item.objects.create(name="naïve 😀 it's", price=decimal.Decimal("1234567890123456.7891"),
                               made=datetime.datetime(2024, 2, 29, 12, 34, 56, 123000), data=b"\x00\xff'\\\n")
    print(f"id={item.id}")
    item = Item.objects.get(pk=item.id)
    print(f"name={item.name}\nprice={item.price}\nmade={item.made.isoformat(' ', 'milliseconds')}")
    print(f"data={bytes(item.data).hex()}\nnote={item.note or 'null'}")
    print(f"updated={Item.objects.filter(pk=1).update(note='sold')}")
    with transaction.atomic():
        Item.objects.create(name="second")
        Item.objects.create(name="third")
    count("committed")
    try:
        with transaction.atomic():
            Item.objects.create(name="never")
            raise ValueError
    except ValueError:
        count("rolledback")
    with transaction.atomic():
        in_admin("fourth")
        try:
            with transaction.atomic():
                Item.objects.create(name="never")
                raise ValueError
        except ValueError:
            pass
    count("savepoint")
    try:
        Item.objects.create(name="second")
    except IntegrityError as e:
        print(f"duplicate={e.args[0]}")
    names = Item.objects.filter(id__gt=1).exclude(name="third").order_by("name").values_list("name", flat=True)
    print("selected=" + ",".join(names))
    Item.objects.get(name="fourth").delete()
    count("left")


def in_admin(name):
    """Adds an item with the admin's own pages."""
    User.objects.create_superuser("admin", "admin@example.org", "secret")
    browser = Client()
    assert browser.login(username="admin", password="secret")
    page = browser.post("/admin/shop/item/add/", {"name": name, "note": "by hand"}, follow=True)
    assert page.status_code == 200 and name in page.content.decode(), page.content
    page = browser.get("/admin/shop/item/", {"q": name})
    assert "1 item" in page.content.decode(), page.content


def unit(alias, i):
    with transaction.atomic(using=alias):
        Work.objects.using(alias).create(id=i)
        Tally.objects.using(alias).filter(pk=1).update(n=F("n") + 1)


def work():
    aliases = list(settings.DATABASES)
    at = 0
    for i in range(1, int(os.environ["NEXUS_COUNT"]) + 1):
        there = False
        while not there:
            try:
                unit(aliases[at], i)
                break
            except (DatabaseError, InterfaceError):
                connections[aliases[at]].close()
            while True:
                try:
                    there = Work.objects.using(aliases[at]).filter(pk=i).exists()
                    break
                except (DatabaseError, InterfaceError):
                    connections[aliases[at]].close()
                    at = (at + 1) % len(aliases)
                    time.sleep(0.05)
        print("done", i, flush=True)


{"features": features, "work": work}[sys.argv[1]]()
