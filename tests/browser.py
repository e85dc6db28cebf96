"""A real browser: Chromium of this machine, or of the system's packages where we may install them."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright, expect

from tests.servers import apt
from tests.waiting import PATIENCE_S

PACKAGE = "chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing is looked up, updated or sent home; as root, Chromium runs without its sandbox or not at all.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Find it, or install it."""
    if _found() is None and apt.can_install():
        apt.install(PACKAGE)
    found = _found()
    assert found is not None, (
        "The console's tests need Chromium: install it (the package chromium on Debian)."
    )
    return found


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """Start one that lasts as long as the block."""
    expect.set_options(timeout=PATIENCE_S * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)
