"""Pictures of the console for these pages: `make screenshots` writes them into `docs/images/`."""

import asyncio
from contextlib import closing
from pathlib import Path

from playwright.async_api import Page, ViewportSize

from parlor.adapters.sql.schema import Schema
from parlor.entrypoints.admin.kept import KEPT_FOR_S
from tests.browser import a_browser
from tests.builders import PASSWORD
from tests.busy_hour import a_little_work, busy_hour
from tests.sample import Sample, fill
from tests.servers import KINDS
from tests.serving import an_api

IMAGES = Path(__file__).parents[1] / "docs/images"
SIZE = ViewportSize(width=1200, height=700)


async def main() -> None:
    """Serve a sample, and walk through it."""
    IMAGES.mkdir(exist_ok=True)
    with closing(KINDS["postgres"]()) as server:
        server.start()
        await Schema(server.url).upgrade()
        async with an_api(server.url, PARLOR_CONSOLE="true") as api, a_browser() as browser:
            sample = await fill(api)
            page = await browser.new_page(viewport=SIZE)
            await page.goto(f"{api.base}/admin/login")
            await page.fill("#email", sample.email("Ada"))
            await page.fill("#password", PASSWORD)
            await page.click("button[type=submit]")
            await page.wait_for_url("**/admin/")
            await _walk(page, f"{api.base}/admin", sample)
            await _operate(page, f"{api.base}/admin", sample)


async def _walk(page: Page, base: str, sample: Sample) -> None:
    await _take(page, "console")
    await page.goto(f"{base}/task/list")
    await _take(page, "console-tasks")
    await page.goto(f"{base}/user/details/{sample.people['Alan']}")
    await page.click("button[value=disable]")
    await _take(page, "console-question")


async def _operate(page: Page, base: str, sample: Sample) -> None:
    """Watch a busy hour for a while, without waiting for it."""
    await busy_hour(sample.sql)
    await page.clock.install()
    await page.goto(f"{base}/operations")
    for _ in range(8):
        await page.wait_for_timeout(KEPT_FOR_S * 1000)
        await a_little_work(sample.sql)
        async with page.expect_response("**/operations/numbers*"):
            await page.clock.run_for(5_000)
    await page.set_viewport_size({"width": 1440, "height": 1000})
    await page.wait_for_timeout(200)
    await page.screenshot(path=IMAGES / "console-operations.png", full_page=True)


async def _take(page: Page, name: str) -> None:
    await page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
