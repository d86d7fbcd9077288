"""The settings of a small shop, whose database and store are in the environment."""

import os

DATABASE = os.environ["DJANGO_DATABASE"]
if DATABASE.startswith("port:"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": DATABASE[5:], "USER": "postgres",
            "NAME": os.environ.get("DJANGO_NAME", "postgres"),
        }
    }  # fmt: skip
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE, "OPTIONS": {"timeout": 20}}}
if os.environ.get("DJANGO_ISOLATION"):
    DATABASES["default"]["OPTIONS"] = {"isolation_level": int(os.environ["DJANGO_ISOLATION"])}
DATABASES["default"]["ATOMIC_REQUESTS"] = bool(os.environ.get("DJANGO_ATOMIC"))
if os.environ.get("DJANGO_ELSEWHERE"):  # a database whose changes cannot be captured
    DATABASES["elsewhere"] = {"ENGINE": "tests.servers.django_shop.elsewhere", "NAME": os.environ["DJANGO_ELSEWHERE"]}
    DATABASE_ROUTERS = ["tests.servers.django_shop.elsewhere.router.Router"]
SECRET_KEY = "a test"
ALLOWED_HOSTS = ["*"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
ROOT_URLCONF = "tests.servers.django_shop.pages"
INSTALLED_APPS = ["parbake.contrib.django", "tests.servers.django_shop", "tests.servers.django_shop.elsewhere"]
MIDDLEWARE = ["parbake.contrib.django.middleware.FencedRequests"]
PARBAKE = {
    "store": os.environ.get("DJANGO_STORE", "memory://"),
    "capture": {
        "django_shop.Policy": ["policy/{slug}", "topic/{topic}"],
        "django_shop.Topic": ["topic/{pk}"],
    },
    "families": ["rate"],
}
CACHES = {
    "default": {"BACKEND": "parbake.contrib.django.cache.FencedCache"},
    "other": {"BACKEND": "parbake.contrib.django.cache.FencedCache", "LOCATION": "other", "KEY_PREFIX": "x"},
}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
