"""Opens the drivers of networked stores for a test, and closes them after it."""

import contextlib


@contextlib.asynccontextmanager
async def opening(driver):
    """Yield a function that opens items of a driver by URL and options; close all of them at the end."""
    everything = []

    async def open_items(url, **options):
        query = "&".join(f"{name}={value}" for name, value in options.items())
        items = driver.from_url(f"{url}?{query}" if query else url)
        everything.append(items)
        await items.open()
        return items

    yield open_items
    for items in everything:
        await items.close()
