"""Take the pictures of the README and of the guide from a served run, so that they show what there is.

    python -m tools.screenshots http://127.0.0.1:8765/ [--feature 1234] [--out docs/images]

The server must be running (`featlas serve`). Chromium is found as the tests find it.
"""

import argparse
import json
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, expect
from tests.browser import browser

SIZE = {"width": 1440, "height": 860}
THEMES = ("light", "dark")


def screens(url: str, feature: int) -> dict[str, str]:
    """The address of each picture by its name; of the newest SAE and its newest run."""
    with urllib.request.urlopen(f"{url}api/v1/saes") as answer:
        sae = json.load(answer)[0]["uid"]
    return {
        "library": url,
        "features": f"{url}s/{sae}/features?q=-is:dense+-is:dead",
        "feature": f"{url}s/{sae}/f/{feature}?q=-is:dense+-is:dead",
        "jobs": f"{url}jobs",
    }


def take(chromium: Browser, address: str, out: Path, theme: str) -> None:
    """One picture, once everything on the page is there."""
    context = chromium.new_context(viewport=SIZE, color_scheme=theme, reduced_motion="reduce")  # pyright: ignore[reportArgumentType]
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.locator(".bone")).to_have_count(0, timeout=30_000)
    page.wait_for_timeout(500)
    page.screenshot(path=out)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--feature", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", nargs="*", default=[], help="names of screens; all without it")
    parser.add_argument("--themes", nargs="*", default=list(THEMES))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        for name, address in screens(options.url, options.feature).items():
            for theme in options.themes:
                if not options.only or name in options.only:
                    take(chromium, address, options.out / f"{name}-{theme}.png", theme)


if __name__ == "__main__":
    main()
