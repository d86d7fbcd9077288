"""Options of Django's own cache backends that this backend does not have are refused."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from parbake.contrib.django.cache import FencedCache


@pytest.mark.parametrize(
    "params", [{"OPTIONS": {"MAX_ENTRIES": 300}}, {"MAX_ENTRIES": 300}, {"OPTIONS": {"CULL_FREQUENCY": 2}}]
)
def test_an_option_that_would_do_nothing_is_refused(params):
    """A bound of entries is refused by its name, with what bounds them instead."""
    with pytest.raises(ImproperlyConfigured, match=r"no option (MAX_ENTRIES|CULL_FREQUENCY): leave it out.*map_size"):
        FencedCache("default", params)


def test_settings_that_every_backend_has_are_taken():
    """Timeout, prefix and version are Django's own, and an empty ``OPTIONS`` is none."""
    cache = FencedCache("default", {"TIMEOUT": 60, "KEY_PREFIX": "x", "VERSION": 2, "OPTIONS": {}})
    assert (cache.default_timeout, cache.key_prefix, cache.version) == (60, "x", 2)
