"""Label Studio as lsloop runs it, in Label Studio's own environment.

It never runs in lsloop's. gunicorn serves `lsloop_studio:application`; `python -m lsloop_studio` brings the
store's tables up to date.
"""

import gc
import os
import sys

import label_studio

# Its own apps are top-level modules: core, users, …
sys.path.insert(0, os.path.dirname(label_studio.__file__))
os.environ["DJANGO_SETTINGS_MODULE"] = "core.settings.label_studio"

SHARED_BY_WRITERS = {
    # Seconds a writer waits for the one before it. Label Studio itself would try an import again after five,
    # with the predictions gone from it, and answer that all is well.
    "timeout": 600,
    # Take the write lock at once: a transaction that reads first and writes later fails without waiting.
    "transaction_mode": "IMMEDIATE",
    # Readers never wait for a writer, and what was committed is on disk.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}


def configure():
    """Configure Label Studio, and let several writers share its SQLite store."""
    from django.conf import settings

    settings.DATABASES["default"]["OPTIONS"] = SHARED_BY_WRITERS
    # Closing the last connection merges the write-ahead log: not after every request.
    settings.DATABASES["default"]["CONN_MAX_AGE"] = None
    settings.MIDDLEWARE.append("lsloop_studio.with_keys")
    settings.INTERNAL_PORT = os.environ.get("LSLOOP_STUDIO_PORT", "8080")  # what it tells ML backends


def with_keys(get_response):
    """Have every page bring keys.js along."""
    with open(os.path.join(os.path.dirname(__file__), "keys.js"), encoding="utf-8") as file:
        keys = file.read()

    def answer(request):
        page = get_response(request)
        if page.get("Content-Type", "").startswith("text/html") and not page.streaming:
            script = f'<script nonce="{getattr(request, "csp_nonce", "")}">{keys}</script></body>'
            page.content = page.content.replace(b"</body>", script.encode(), 1)
        return page

    return answer


def let_readers_pass():
    """Let requests with a token read without a write lock.

    Each looks up its organisation's settings, in a transaction that only creating needs. It would take the
    write lock, and a reader would wait for each writer.
    """
    from annoying.fields import AutoSingleRelatedObjectDescriptor as Lookup

    Lookup.__get__ = getattr(Lookup.__get__, "__wrapped__", Lookup.__get__)


def spare_the_collector():
    """Spare the garbage collector what stays while the server runs.

    A quarter of the time of a long list went into looking for garbage among it.
    """
    from django.urls import get_resolver

    _ = get_resolver().url_patterns  # loads every view, as the first request would
    gc.collect()
    gc.freeze()


def migrate():
    """Make or update the tables of the store."""
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("migrate", verbosity=0)
    connection.close()  # so that the write-ahead log is merged and the store is one file


def ensure_admin(email, password, token):
    """Make the account lsloop signs in with, or mend its keys.

    It is made with its organisation the first time, its keys mended later.
    """
    from django.db import transaction
    from organizations.models import Organization
    from rest_framework.authtoken.models import Token
    from users.models import User

    with transaction.atomic():
        user = User.objects.filter(email=email).first()
        if user is None:
            user = User.objects.create_superuser(email=email, password=password)
        elif not user.check_password(password):
            user.set_password(password)
        organization = Organization.objects.first()
        if organization is None:
            organization = Organization.create_organization(
                created_by=user, title="lsloop", legacy_api_tokens_enabled=True
            )
        elif not organization.has_user(user):
            organization.add_user(user)
        user.active_organization = organization
        user.save()
        if not Token.objects.filter(user=user, key=token).exists():
            Token.objects.filter(user=user).delete()
            Token.objects.create(user=user, key=token)


configure()
if __name__ == "__main__":
    migrate()
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    let_readers_pass()
    ensure_admin(*(os.environ[f"LSLOOP_ADMIN_{name}"] for name in ("EMAIL", "PASSWORD", "TOKEN")))
    spare_the_collector()
