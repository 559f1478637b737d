"""The pages in headless Chromium: what a person does with them, on a desk, on a phone, in the dark, on paper."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.architecture.imports import SOURCE
from tests.pages.test_notebooks import NOTEBOOKS, run

from normlab.pages.front import front
from normlab.pages.mathml import to_mathml
from normlab.pages.pictures import table
from normlab.pages.results import Results
from normlab.pages.script import write_script
from normlab.pages.shell import PAGES, Shows, page, write_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium or Chrome on the PATH; `.ci/run` installs one where it can"
    ),
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SHOWN = "figure.drawn .plot svg"
# texts of a drawing whose boxes share more than a hair
OVERLAPS = """() => [...document.querySelectorAll(".plot svg")].flatMap((svg) => {
  const visible = (text) => text.textContent && text.getAttribute("opacity") !== "0";
  const texts = [...svg.querySelectorAll("text")].filter(visible);
  const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const shared = (a, b, low, high) => Math.min(a[high], b[high]) - Math.max(a[low], b[low]);
  return boxes.flatMap(([one, a], place) => boxes.slice(place + 1)
    .filter(([, b]) => shared(a, b, "left", "right") > 1 && shared(a, b, "top", "bottom") > 1)
    .map(([other]) => `${one} / ${other}`));
})"""


@pytest.fixture(scope="module")
def html(paths: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index and one page of the invented study, with the shared script beside them."""
    folder = tmp_path_factory.mktemp("html")
    tiny = Shows("tiny", "Preset")
    write_page(folder / "index.html", page("All claims", front(Results.load(**paths), [*NOTEBOOKS]), "index", tiny))
    shown = "\n".join(run(NOTEBOOKS["03-covariate-shift"], paths))
    write_page(folder / "03-covariate-shift.html", page("Shift", f"<h1>Shift</h1>{shown}", "03-covariate-shift", tiny))
    write_script(folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def test_dvc_s_page_of_plots_is_drawn_by_the_bundled_library(browser: Browser, html: Path) -> None:
    template = (SOURCE.parent / ".dvc" / "plots" / "page.html").read_text(encoding="utf-8")
    spec = '{"data": {"values": [{"x": 1, "y": 2}]}, "mark": "point", "encoding": {"x": {"field": "x"}}}'
    div = f"<div id='plot'></div><script>vegaEmbed('#plot', {spec});</script>"
    page = template.replace("{plot_divs}", div).replace("{refresh_tag}", "")
    (html.parent / "dvc_plots").mkdir()
    for script, shown in ((f"../{html.name}/normlab.js", "#plot svg, #plot canvas"), ("absent.js", "body > p")):
        (html.parent / "dvc_plots" / "index.html").write_text(page.replace("../reports/html/normlab.js", script))
        tab = browser.new_page()
        asked: list[str] = []
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.goto((html.parent / "dvc_plots" / "index.html").as_uri())
        tab.wait_for_selector(shown)
        assert not [url for url in asked if foreign(url)]
        tab.close()


@pytest.fixture
def opened(browser: Browser, html: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page; afterwards nothing may have been said on the console, and nothing asked of anybody else."""
    said: list[str] = []
    contexts = []

    def open_page(name: str, viewport: dict[str, int] = DESK, **settings: Any) -> Page:
        context = browser.new_context(viewport=viewport, **settings)  # type: ignore[arg-type]
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: said.append(request.url) if foreign(request.url) else None)
        tab.goto((html / name).as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def foreign(url: str) -> bool:
    return not re.match(r"file:|data:|blob:", url)


def lines(tab: Page) -> list[int]:
    """The drawn lines of each panel."""
    counting = "all => all.map(svg => svg.querySelectorAll('.mark-line path[stroke]').length)"
    return tab.eval_on_selector_all(SHOWN, counting)


def settled(tab: Page, condition: str) -> None:
    tab.wait_for_function(condition, timeout=10_000)


def test_from_the_index_to_a_page_a_toggle_and_back(opened: Callable[..., Page]) -> None:
    tab = opened("index.html")
    tab.wait_for_selector(SHOWN)
    tab.get_by_role("link", name="Covariate shift").first.click()
    tab.wait_for_selector("#figure-3-shift-of-two-layers-over-training .plot svg")
    before = lines(tab)
    assert len(before) == 6
    assert set(before) == {2}  # plain and BatchNorm at one rate
    tab.get_by_label("ℓ1").check()
    settled(tab, "document.querySelectorAll('.plot svg .mark-line path[stroke]').length === 18")
    assert set(lines(tab)) == {3}  # in all panels at once
    tab.get_by_label("BatchNorm", exact=True).uncheck()
    tab.get_by_label("none (plain)").uncheck()
    settled(tab, "document.querySelectorAll('.plot svg .mark-line path[stroke]').length === 6")
    tab.get_by_label("ℓ1").uncheck()
    tab.get_by_text("nothing finite to show with this choice").first.wait_for()
    tab.go_back()
    tab.wait_for_selector(SHOWN)
    assert tab.url.endswith("index.html")


def test_axes_rates_and_seeds_can_be_chosen(opened: Callable[..., Page]) -> None:
    tab = opened("03-covariate-shift.html")
    tab.wait_for_selector(SHOWN)
    tab.get_by_label("horizontal").select_option("train accuracy")
    settled(tab, "document.querySelector('.plot svg').textContent.includes('train accuracy (%)')")
    assert set(lines(tab)) == {6}  # one a seed: three seeds of two normalizers
    tab.get_by_role("checkbox", name="2", exact=True).uncheck()
    settled(tab, "document.querySelectorAll('.plot svg .mark-line path[stroke]').length === 24")
    tab.get_by_label("horizontal").select_option("training step")
    tab.get_by_label("0.5").check()
    settled(tab, "document.querySelectorAll('.plot svg .mark-line path[stroke]').length === 24")
    index = opened("index.html")
    index.wait_for_selector(SHOWN)
    index.get_by_text("What the figures show").click()
    labels = "[...document.querySelectorAll('.plot svg')].map(svg => svg.textContent).join()"
    drawn = index.evaluate(labels)
    index.get_by_label("vertical").select_option("linear")  # the loss was logarithmic
    index.wait_for_function(f"drawn => {labels} !== drawn", arg=drawn, timeout=10_000)


def test_a_line_above_the_figures_names_what_is_drawn_where_the_controls_are_folded(
    opened: Callable[..., Page],
) -> None:
    index = opened("index.html")
    index.wait_for_selector(SHOWN)
    shown = index.locator(".controls:not([open]) > summary .named:visible")
    assert shown.all_inner_texts() == ["none (plain)", "BatchNorm"]
    strokes = (
        "[...document.querySelectorAll('.plot svg .mark-line path[stroke]')].map(path => getComputedStyle(path).stroke)"
    )
    colors = index.locator(".named:visible .swatch").evaluate_all(
        "marks => marks.map(mark => getComputedStyle(mark).backgroundColor)"
    )
    assert set(index.evaluate(strokes)) == set(colors)
    index.get_by_text("What the figures show").click()
    index.get_by_role("checkbox", name="BatchNorm", exact=True).uncheck()
    assert index.locator(".named:visible").all_inner_texts() == ["none (plain)"]


def test_hovering_shows_normalizer_value_and_seeds(opened: Callable[..., Page]) -> None:
    tab = opened("03-covariate-shift.html")
    tab.wait_for_selector(SHOWN)
    place = tab.locator(".plot svg .mark-symbol path").first.bounding_box()
    assert place
    tab.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2, steps=3)
    tip = tab.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    rows = dict(re.findall(r"^(.+?)\t\s*(\S.*)$", tip.inner_text(), flags=re.M))
    assert rows["normalizer"] in ("none (plain)", "BatchNorm")
    assert rows["seeds"] == "3"
    assert float(rows["median"]) > 0


def test_the_keyboard_reaches_every_control(opened: Callable[..., Page]) -> None:
    tab = opened("03-covariate-shift.html")
    tab.wait_for_selector(SHOWN)
    tab.get_by_text("What the figures show").focus()
    reached = []
    for _ in range(12):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.closest('label')?.textContent ?? ''"))
    for name in ("none (plain)", "BatchNorm", "ℓ1", "0.5"):
        assert name in reached
    tab.get_by_label("ℓ1").focus()
    tab.keyboard.press("Space")
    assert tab.get_by_label("ℓ1").is_checked()


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", ["index.html", "03-covariate-shift.html"])
def test_no_text_lies_on_another_and_nothing_reaches_beyond_the_page(
    opened: Callable[..., Page], name: str, viewport: dict[str, int]
) -> None:
    tab = opened(name, viewport)
    tab.locator("figure").first.scroll_into_view_if_needed()
    tab.wait_for_selector(SHOWN)
    assert tab.evaluate(OVERLAPS) == []
    assert tab.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    tops = tab.eval_on_selector_all(".panel", "all => all.map(panel => Math.round(panel.getBoundingClientRect().left))")
    assert (len(set(tops)) == 1) == (viewport == PHONE)  # stacked on a phone, side by side on a desk


def test_on_a_phone_the_menu_shows_where_one_is_and_long_names_leave_room_for_numbers(
    opened: Callable[..., Page], html: Path
) -> None:
    last = [*PAGES][-1]
    names = table(["", "ResNet-18", "Transformer"], [["layers/shift/gradient_distance_high_of_all", "-0.0128", "0.5"]])
    formula = to_mathml(" + ".join(["a"] * 60), block=True)  # wider than a phone: it scrolls by itself
    write_page(html / "last.html", page("Last", f"{names.markup}<p>{formula}</p>", last, Shows("tiny", "Preset")))
    tab = opened("last.html", PHONE)
    tab.wait_for_function("document.querySelector('nav ul').scrollLeft > 0", timeout=10_000)
    box = (
        "(name) => { const box = document.querySelector(name).getBoundingClientRect(); return [box.left, box.right]; }"
    )
    for name in ("nav [aria-current]", "td:last-child"):
        left, right = tab.evaluate(box, name)
        assert left >= 0
        assert right <= PHONE["width"]
    assert tab.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_code_that_is_shown_is_printed(opened: Callable[..., Page], html: Path) -> None:
    code = f"<div class='code shown'><pre>{'print(1)' * 60}</pre></div><div class='code'><pre>print(2)</pre></div>"
    write_page(html / "code.html", page("Code", code, "08-probe-your-own-model", Shows("tiny", "Preset")))
    tab = opened("code.html")
    tab.emulate_media(media="print")
    assert [part.is_visible() for part in tab.locator(".code").all()] == [True, False]
    assert tab.eval_on_selector("pre", "code => code.scrollWidth <= code.clientWidth")  # paper does not scroll


def test_every_picture_and_drawing_has_a_text(opened: Callable[..., Page]) -> None:
    tab = opened("03-covariate-shift.html")
    tab.wait_for_selector(SHOWN)
    assert tab.eval_on_selector_all("img", "all => all.every(image => image.alt.length > 10)")
    assert tab.eval_on_selector_all(".plot", "all => all.every(plot => plot.getAttribute('aria-label').length > 10)")


def test_dark_colors_reach_the_drawings(opened: Callable[..., Page]) -> None:
    fills = []
    for scheme in ("light", "dark"):
        tab = opened("03-covariate-shift.html", color_scheme=scheme)
        tab.wait_for_selector(SHOWN)
        fills.append(tab.eval_on_selector(".plot svg text", "text => getComputedStyle(text).fill"))
        background = tab.eval_on_selector("body", "body => getComputedStyle(body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background))) < 3 * 128) == (scheme == "dark")
    assert fills[0] != fills[1]


def test_without_scripts_there_are_still_pictures(opened: Callable[..., Page]) -> None:
    tab = opened("03-covariate-shift.html", java_script_enabled=False)
    assert tab.locator("figure img").count() == 2
    assert all(image.is_visible() for image in tab.locator("figure img").all())
    assert not any(part.is_visible() for part in tab.locator(".panels").all())


def test_print_shows_still_pictures_what_is_folded_and_addresses(opened: Callable[..., Page]) -> None:
    tab = opened("03-covariate-shift.html", color_scheme="dark")
    tab.wait_for_selector(SHOWN)
    tab.emulate_media(media="print")
    assert not tab.locator(".controls").is_visible()
    assert not tab.locator(".panels").first.is_visible()
    assert all(image.is_visible() for image in tab.locator("figure img").all())
    address = tab.eval_on_selector(".source a", "link => getComputedStyle(link, '::after').content")
    assert "src/normlab/" in address or "attr(href)" in address
    styles = "names => names.map(([one, kind]) => getComputedStyle(document.querySelector(one))[kind])"
    kept = [["h1", "breakAfter"], ["tr", "breakInside"], ["figure", "breakInside"], ["main summary", "breakAfter"]]
    assert tab.evaluate(styles, kept) == ["avoid"] * len(kept)  # no heading alone at a page's foot, no row cut in two
    assert tab.evaluate(styles, [[".claim", "breakInside"]]) == ["auto"]  # longer than a page: it would leave one empty
    tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("main details:not([open]):not(.controls)").count() == 0


def test_data_can_be_saved_and_pictures_open_large(opened: Callable[..., Page]) -> None:
    tab = opened("03-covariate-shift.html")
    tab.wait_for_selector(SHOWN)
    heads = []
    for figure in tab.locator("figure").all():
        with tab.expect_download() as waiting:
            figure.get_by_role("button", name="data (CSV)").click()
        heads.append(Path(waiting.value.path()).read_text(encoding="utf-8").splitlines())
    assert heads[0][0] == "panel,normalizer,learning_rate,seed,step,train_accuracy_percent,low,high"
    assert heads[1][0] == "panel,line,x,y"
    assert all(len(head) > 50 for head in heads)
    picture = tab.locator("figure img").last
    picture.click()
    tab.locator("dialog.large img").wait_for()
    tab.keyboard.press("Escape")
    tab.locator("dialog.large").wait_for(state="detached")
