"""What is wrong with a page for somebody's eyes or hands, in both themes: axe's rules, and text beside the window."""

from typing import Literal

from playwright.sync_api import Page
from tests.e2e.pages.conftest import NARROW, REPOSITORY, WIDE

AXE = REPOSITORY / "ui" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES = (WIDE, NARROW)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# What is not laid out yet because nobody sees it has no true sizes, so everything is laid out first.
RUN_AXE = """async (tags) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('* { content-visibility: visible !important; }');
  document.adoptedStyleSheets.push(sheet);
  const found = await axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']});
  document.adoptedStyleSheets.pop();
  return found.violations.map(({id, nodes}) => `${id}: ${nodes.slice(0, 3).map((node) => node.target)}`);
}"""
IS_TOO_WIDE = "document.documentElement.scrollWidth > window.innerWidth"


def find_faults(page: Page) -> list[str]:
    """What axe objects to in either theme (rule and elements), and whether the page is wider than its window."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))  # from outside: the page's own policy lets no script in
    found = ["wider than the window"] if page.evaluate(IS_TOO_WIDE) else []
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        found += [f"{theme}: {fault}" for fault in page.evaluate(RUN_AXE, RULES)]
    page.emulate_media(color_scheme="light")
    return found


def find_faults_at_all_sizes(page: Page) -> list[str]:
    """The same in a wide and in a narrow window, in which the page is left as it was."""
    before = page.viewport_size
    found = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        found += [f"{width}: {fault}" for fault in find_faults(page)]
    if before is not None:
        page.set_viewport_size(before)
    return found
