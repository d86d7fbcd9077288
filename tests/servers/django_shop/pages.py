"""The pages of a small shop."""

from django.db import transaction
from django.http import HttpResponse
from django.template import engines
from django.urls import path
from tests.servers.django_shop.models import Policy

PAGE = """{% load parbake %}{% fenced 600 "policy" "policy/{slug}" %}{{ policy.days }} days{% endfenced %}"""
rendered = []
"""The policies that were read to render a page."""


class Lazily:
    """Reads a policy when its fragment is rendered."""

    def __init__(self, slug):
        self.slug = slug

    @property
    def days(self):
        """Read the row."""
        rendered.append(self.slug)
        return Policy.objects.get(slug=self.slug).days


def page(request, slug):
    """Show a policy, or change it first."""
    if request.method == "POST":
        Policy.objects.filter(slug=slug).update(days=request.POST["days"])
    text = engines["django"].from_string(PAGE).render({"slug": slug, "policy": Lazily(slug)})
    if request.POST.get("fail"):
        transaction.set_rollback(True)
    return HttpResponse(text)


between = lambda: None  # noqa: E731  # a test puts there what happens after a row was read


def early_page(request, slug):
    """Read a row, as most views do, before a template that caches what it shows."""
    policy = Policy.objects.get(slug=slug)
    between()
    return HttpResponse(engines["django"].from_string(PAGE).render({"slug": slug, "policy": policy}))


async def slow_page(request, slug):
    """Show a policy from a coroutine."""
    from django.core.cache import cache

    async def days():
        return (await Policy.objects.aget(slug=slug)).days

    found = await cache.aget(f"slow-{slug}")
    if found is None:
        found = await days()
        await cache.aset(f"slow-{slug}", found, tags=[f"policy/{slug}"])
    return HttpResponse(f"{found} days")


urlpatterns = [
    path("policy/<slug:slug>", page),
    path("early/<slug:slug>", early_page),
    path("slow/<slug:slug>", slow_page),
]
