"""Pictures of the console for these pages: `make screenshots` writes them into `docs/images/`."""

import asyncio
from contextlib import closing
from pathlib import Path

from playwright.async_api import Page

from parlor.adapters.sql.schema import Schema
from tests.browser import a_browser
from tests.builders import PASSWORD
from tests.sample import Sample, fill
from tests.servers import KINDS
from tests.serving import an_api

IMAGES = Path(__file__).parents[1] / "docs/images"
SIZE = {"width": 1280, "height": 800}


async def main() -> None:
    """Serve a sample, and walk through it."""
    IMAGES.mkdir(exist_ok=True)
    with closing(KINDS["postgres"]()) as server:
        server.start()
        await Schema(server.url).upgrade()
        async with an_api(server.url, PARLOR_CONSOLE=True) as api, a_browser() as browser:
            sample = await fill(api)
            page = await browser.new_page(viewport=SIZE)
            await page.goto(f"{api.base}/admin/login")
            await _take(page, "console-login")
            await page.fill("#email", sample.email("Ada"))
            await page.fill("#password", PASSWORD)
            await page.click("button[type=submit]")
            await page.wait_for_url("**/admin/")
            await _walk(page, f"{api.base}/admin", sample)


async def _walk(page: Page, base: str, sample: Sample) -> None:
    await _take(page, "console")
    for name, path in {
        "console-users": "user/list",
        "console-tasks": "task/list",
        "console-task": f"task/details/{sample.failed[0]}",
        "console-party": f"party/details/{sample.party}",
        "console-messages": "message/list",
        "console-logins": "login-entry/list",
        "console-role": "roles/change?name=admin",
    }.items():
        await page.goto(f"{base}/{path}")
        await _take(page, name)
    await page.goto(f"{base}/user/details/{sample.people['Alan']}")
    await page.click("button[value=disable]")
    await _take(page, "console-question")
    await page.click("button.btn-danger")
    await page.wait_for_selector(".console-told")
    await _take(page, "console-done")


async def _take(page: Page, name: str) -> None:
    await page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
