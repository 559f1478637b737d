"""How long the static site takes to make, how large its pages are, and how soon a browser shows them from disk.

`python benchmarks/pages.py [FOLDER]`: the pages in FOLDER, such as reports/html; without it, the published records.
First paint is the browser's own entry `first-contentful-paint`; drawn is when the first interactive figure is there.
Medians of five openings, each in a fresh profile of headless Chromium.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

OPENINGS = 5
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
DRAWN = "document.querySelector('figure.drawn .plot svg') ? performance.now() : null"


def seen(folder: Path) -> list[str]:
    """A line a page: size, first paint, first figure."""
    from playwright.sync_api import sync_playwright

    lines = []
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        return ["no Chromium or Chrome on the PATH: nothing was opened"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for page in sorted(folder.rglob("*.html")):
            paints, drawings = [], []
            live = 'type="application/json"' in page.read_text(encoding="utf-8")
            for _ in range(OPENINGS):
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                tab = context.new_page()
                tab.goto(page.as_uri())
                paints.append(tab.evaluate(PAINT))
                if live:
                    tab.locator("figure:has(.panels)").first.scroll_into_view_if_needed()
                    drawings.append(tab.wait_for_function(DRAWN).json_value())
                context.close()
            shown = f", figure drawn {statistics.median(drawings):5.0f} ms" if drawings else ""
            size, paint = page.stat().st_size / 1e6, statistics.median(paints)
            lines.append(f"{page.relative_to(folder)}: {size:.2f} MB, first paint {paint:4.0f} ms{shown}")
        browser.close()
    return lines


def main() -> None:
    """Print the lines."""
    if len(sys.argv) > 1:
        print(*seen(Path(sys.argv[1])), sep="\n")
        return
    from normlab.stages import site

    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        site.main(["--out", f"{scratch}/site"])
        print(f"make site: {time.perf_counter() - start:.0f} s", *seen(Path(scratch, "site")), sep="\n")


if __name__ == "__main__":
    main()
