"""The page in a real browser: reads, sorts, filters, prints, and asks nothing of a network."""

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from bench.record.records import load_records
from bench.reporting.page.document import describe_page, render_page
from bench.reporting.render.csv import render_csv
from bench.reporting.summary import summary_sentences
from bench.reporting.tables.build import build_table, filled_tables
from bench.reporting.tables.table_spec import load_tables
from tests.data_recorded import recorded
from tests.data_recorded.page_records import (
    HOSTILE,
    write_hostile,
    write_large,
    write_small,
    write_wide,
)

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra `test`")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra `test`")

TABLES = Path(__file__).parents[2] / "sweeps" / "tables.yaml"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
LARGEST = 15_000_000
MOST_CPU_SECONDS = 1.0


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no Chromium here: none of {', '.join(NAMES)}, and CHROME names none")
    arguments = ["--no-sandbox"] if sys.platform == "linux" else []
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write each kind of page once; return its file by the name of its record."""
    results = tmp_path_factory.mktemp("pages")
    made = {}
    for write in (write_small, write_hostile, write_wide, write_large):
        name = write.__name__.removeprefix("write_")
        write(results / name)
        made[name] = results / name / "report.html"
        records, specs = load_records(results / name), load_tables(TABLES)
        tables = filled_tables(specs, records, paper=True)
        summary = summary_sentences([build_table(specs["summary"], records)], records)
        page = describe_page(records, tables, specs["summary"].names, summary)
        made[name].write_text(render_page(page), encoding="utf-8")
    return made


@pytest.fixture
def show(browser, files):
    """Return a function that opens a page; nothing may be asked or complained of meanwhile."""
    contexts, asked, complaints = [], [], []

    def open_page(name, fragment="", viewport=DESKTOP, **options):
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(files[name].as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def first_column(page, table="#summary"):
    rows = page.locator(f"article[aria-labelledby={table[1:]}] tbody tr:visible th")
    return rows.all_inner_texts()


def head(page, text, table="summary"):
    return page.locator(f"article[aria-labelledby={table}] thead th", has_text=text)


def violations(page):
    found = axe.Axe().run(page).response["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]


def unfold(page):
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    page.evaluate("Page.later.all()")


def turn(page, media):
    """Show the page as it is on paper or on a screen; it notices with the next frame."""
    page.emulate_media(media=media)
    page.wait_for_selector("html.paper" if media == "print" else "html:not(.paper)")


@pytest.mark.parametrize(
    ("name", "viewport"),
    [
        ("hostile", DESKTOP),
        ("small", PHONE),
        pytest.param("small", DESKTOP, marks=pytest.mark.slow),
        pytest.param("hostile", PHONE, marks=pytest.mark.slow),
        pytest.param("wide", DESKTOP, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing(show, name, viewport):
    page = show(name, viewport=viewport)
    for _ in range(2):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == []
        unfold(page)


def test_axe_would_find_something(show):
    page = show("small")
    page.evaluate("document.querySelector('h1').style.color = 'rgb(200, 200, 200)'")
    assert [name for name, _ in violations(page)] == ["color-contrast"]


def test_200_runs_load_in_time_and_stay_light(browser, files):
    assert files["large"].stat().st_size < LARGEST
    page = browser.new_page(viewport=DESKTOP)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # whatever else runs here
    page.goto(files["large"].as_uri())
    page.evaluate("Page.later.all()")
    metrics = session.send("Performance.getMetrics")["metrics"]
    assert {one["name"]: one["value"] for one in metrics}["TaskDuration"] < MOST_CPU_SECONDS
    assert "200 done; controls: 1 done" in page.inner_text("header")
    page.close()


def test_charts_are_drawn_after_the_page_is_there_and_before_a_link_is_followed(show):
    page = show("small", "#no%E0such&words=cvae")  # a broken address costs nothing
    page.wait_for_function("() => document.querySelectorAll('.card svg').length > 0")
    assert first_column(page) == ["cVAE"]
    turn(page, "print")
    page = show("large", "#runs")
    assert page.evaluate("document.querySelectorAll('.card:not([hidden]) > div:empty').length") == 0


def test_pressing_a_heading_sorts(show):
    page = show("small")
    assert first_column(page) == ["real test images", "cVAE", "Lr-LiVAE"]
    score = head(page, "Inception Score")
    expected = [
        ("descending", ["real test images", "Lr-LiVAE", "cVAE"]),
        ("ascending", ["cVAE", "Lr-LiVAE", "real test images"]),
        ("none", ["real test images", "cVAE", "Lr-LiVAE"]),
    ]
    for state, rows in expected:
        score.get_by_role("button").click()
        assert score.get_attribute("aria-sort") == state
        assert first_column(page) == rows
        assert head(page, "Row").get_attribute("aria-sort") == "none"


def test_sorting_by_keyboard_says_what_it_did(show):
    page = show("small")
    button = head(page, "Row").get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    assert first_column(page) == ["cVAE", "Lr-LiVAE", "real test images"]
    page.keyboard.press("Space")
    assert first_column(page) == ["real test images", "Lr-LiVAE", "cVAE"]
    assert page.locator("#said").inner_text() == "Sorted by name, descending."
    outline = button.evaluate("node => getComputedStyle(node).outlineStyle")
    assert outline == "solid"


def test_names_sort_by_their_numbers_and_what_is_missing_comes_last(show):
    page = show("large")
    head(page, "Row").get_by_role("button").click()
    names = first_column(page)
    assert names[1:4] == ["variant 0", "variant 1", "variant 2"]
    page = show("small")
    paper = head(page, "FaceScrub", "table-2").get_by_role("button")
    for last in ("cVAE", "cVAE", "cVAE-GAN"):
        paper.click()
        assert first_column(page, "#table-2")[-1] == last


def test_words_filter_every_part(show):
    page = show("small")
    page.fill("#words", "livae")
    assert first_column(page) == ["Lr-LiVAE"]
    assert page.locator("figcaption:visible").all_inner_texts() == ["Lr-LiVAE, seed 0"] * 3
    assert "1 of 3 rows" in page.inner_text("#bar")
    page.fill("#words", "nothing is called so")
    assert first_column(page) == []
    page.get_by_role("button", name="Show all").click()
    assert len(first_column(page)) == 3


def test_chips_filter_by_variant_and_keep_the_controls(show):
    page = show("small")
    page.locator("details.filters > summary").click()
    page.locator("details.filters").get_by_role("button", name="cVAE", exact=True).click()
    assert first_column(page) == ["real test images", "cVAE"]
    pressed = page.locator(".legend .chip[aria-pressed=true]").all_inner_texts()
    assert pressed == ["cVAE"]
    page.keyboard.press("Escape")
    assert not page.locator("details.filters").evaluate("fold => fold.open")


def test_pictures_show_one_class_or_seed(show):
    page = show("small")
    samples = page.locator("article[aria-labelledby=samples-digits]")
    assert samples.locator("figcaption").all_inner_texts() == [
        *("real test images", "cVAE, seed 0", "Lr-LiVAE, seed 0"),
    ]
    samples.get_by_label("Seed").select_option("all")
    assert samples.locator("figure").count() == 7
    samples.get_by_label("Class").select_option("c3")
    assert samples.locator("img").first.get_attribute("alt").endswith(", class c3")
    box = samples.locator(".sheet").first.bounding_box()
    assert box["width"] == pytest.approx(10 * box["height"], rel=0.02)
    assert samples.locator("img").first.evaluate("image => image.naturalWidth") == 80


def test_a_table_is_copied_as_the_command_writes_it(show, files):
    page = show("small", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy All metrics").and_(page.get_by_text("CSV")).click()
    page.wait_for_function("document.getElementById('said').textContent !== ''")
    table = build_table(load_tables(TABLES)["summary"], load_records(files["small"].parent))
    assert page.evaluate("navigator.clipboard.readText()") == render_csv(table)


def test_one_topic_can_be_shown_and_the_address_remembers_it(show):
    page = show("small")
    score, accuracy = (head(page, name) for name in ("Inception Score", "Intra-class diversity"))
    assert (score.count(), score.is_visible(), accuracy.is_visible()) == (1, True, True)
    page.get_by_label("Metrics", exact=True).select_option(
        label="Table 1. Inception Score of the samples"
    )
    for _ in range(2):
        assert (score.is_visible(), accuracy.is_visible()) == (True, False)
        assert page.locator("#cost").is_hidden()
        assert page.locator(".cards .card:visible h3", has_text="diversity").count() == 0
        assert page.evaluate("location.hash").endswith("&metric=inception_score")
        page.locator("#bar a", has_text="Seeds").click()  # a link keeps the choice
        page.wait_for_function("() => location.hash === '#seeds&metric=inception_score'")
        page.reload()
        page.evaluate("Page.later.all()")  # charts that are drawn meanwhile would move the button
    page.get_by_role("button", name="Show all").click()
    assert accuracy.is_visible()
    assert page.evaluate("location.hash") == "#seeds"


def test_the_address_remembers_rows_and_words_and_ignores_what_is_not_there(show):
    page = show("small", "#summary&variant=quickstart%2Fcvae&metric=gone")
    assert first_column(page) == ["real test images", "cVAE"]
    page.fill("#words", "c & d=e")
    assert first_column(show("small", page.evaluate("location.hash"))) == []
    page.fill("#words", "")
    page.evaluate("location.hash = '#&metric=inception_score'")
    head(page, "Intra-class diversity").wait_for(state="hidden")


def test_charts_are_there_without_scrolling_and_after_a_filter(show):
    page = show("large", viewport=PHONE)
    drawn = "document.querySelectorAll('svg.chart').length"
    cards = page.locator(".cards .card").count()
    page.wait_for_function(f"() => {drawn} === {cards}")
    assert cards == 12
    page.evaluate("for (const chart of document.querySelectorAll('svg.chart')) chart.remove()")
    page.fill("#words", "variant 1")
    page.wait_for_function(f"() => {drawn} === {cards}")


def test_a_wide_table_shows_on_which_side_it_goes_on(show):
    page = show("wide")
    box = page.locator("article[aria-labelledby=summary] .scroller")
    sides = "box => ['left', 'right'].filter(s => box.parentNode.classList.contains(`more-${s}`))"
    label = box.locator("tbody th").first
    place = label.bounding_box()["x"]
    for left, expected in ((0, ["right"]), (300, ["left", "right"]), (99999, ["left"])):
        box.evaluate("(box, left) => { box.scrollLeft = left }", left)
        page.wait_for_timeout(50)
        assert box.evaluate(sides) == expected
        assert label.bounding_box()["x"] == pytest.approx(place, abs=1)
    small = show("small").locator("article[aria-labelledby=summary] .scroller")
    assert small.evaluate(sides) == []


@pytest.mark.parametrize("name", ["small", "hostile", "wide", "large"])
def test_paper_loses_no_column(show, name):
    page = show(name)
    heads = "heads => heads.map(head => head.textContent)"
    shown = page.locator("article[aria-labelledby=summary] thead th").evaluate_all(heads)
    turn(page, "print")
    too_wide = """() => [...document.querySelectorAll('.scroller > *')]
      .filter(node => node.checkVisibility() && node.offsetWidth > node.parentNode.clientWidth)
      .map(node => node.textContent.slice(0, 80))"""
    assert page.evaluate(too_wide) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    parts = page.locator("article[aria-labelledby=summary] table:visible")
    assert (parts.count() > 1) == (name == "wide")
    on_paper = parts.locator("thead th").evaluate_all(heads)
    assert [head for head in on_paper if not head.startswith("Row")] == shown[1:]
    first = [head for before, head in pairwise(on_paper) if before.startswith("Row")]
    assert not [head for head in first if head.startswith("gap")], "it stays beside its value"
    turn(page, "screen")
    assert page.locator(".scroller > table[hidden]").count() == 0
    assert page.locator("article[aria-labelledby=summary] table").count() == 1


def test_a_pdf_has_every_column_and_leaves_the_page_as_it_was(show, tmp_path):
    page = show("wide")
    page.evaluate("Page.later.all()")
    before = page.inner_text("main")
    page.pdf(path=tmp_path / "a.pdf", format="A4", prefer_css_page_size=True)
    assert page.inner_text("main") == before
    if not shutil.which("pdftotext"):
        pytest.skip("needs pdftotext to read the file")
    command = ["pdftotext", "-layout", "a.pdf", "-"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    values = {f"{8.125 + n:.2f}" for n in range(24)}
    assert values <= set(made.stdout.split())


@pytest.mark.parametrize("name", ["small", "hostile", "large"])
def test_a_phone_never_scrolls_sideways(show, name):
    page = show(name, viewport=PHONE)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_filter_fits_a_phone(show):
    page = show("small", viewport=PHONE)
    page.click("details.filters > summary")
    panel = page.locator(".panel").bounding_box()
    assert panel["x"] >= 0
    assert panel["x"] + panel["width"] <= PHONE["width"]


def test_hostile_names_are_shown_as_they_are(show):
    page = show("hostile")
    assert page.evaluate("window.broken") is None
    names = page.locator("tbody th").evaluate_all("heads => heads.map(head => head.textContent)")
    assert HOSTILE in names


def test_a_link_opens_what_it_points_into(show):
    page = show("hostile")
    link = page.locator(".warning a").first
    target = link.get_attribute("href")
    link.click()
    assert page.locator(target).evaluate("fold => fold.open")
    assert recorded.TRACEBACK.splitlines()[0] in page.locator(target).inner_text()
    again = show("hostile", fragment=target)
    assert again.locator(target).evaluate("fold => fold.open")


def test_every_section_can_be_linked_to(show):
    page = show("small")
    links = page.locator("a.permalink").evaluate_all("links => links.map(a => a.hash)")
    assert len(links) == len(set(links)) >= 10
    assert all(page.locator(f"[id='{link[1:]}']").count() == 1 for link in links)
    ids = page.locator("[id]").evaluate_all("nodes => nodes.map(node => node.id)")
    assert len(ids) == len(set(ids))


def test_paper_shows_every_section_and_no_controls(show):
    page = show("small")
    numbers = page.locator(".card details").first
    numbers.evaluate("fold => { fold.open = true; }")
    turn(page, "print")
    assert page.locator("main details:not([open], .card *, details *)").count() == 0
    assert page.locator(".card details:visible").count() == 1  # the one that was opened
    assert page.locator("nav:visible, select:visible, .permalink:visible").count() == 0
    assert page.locator("svg.chart").count() == len(page.locator(".cards .card").all())
    assert page.locator("body").evaluate("body => getComputedStyle(body).color") == "rgb(0, 0, 0)"
    turn(page, "screen")
    assert page.locator("main details[open]").count() < page.locator("main details").count()


def test_motion_is_left_out_where_it_is_not_wanted(show):
    for wish, behavior in (("reduce", "auto"), ("no-preference", "smooth")):
        page = show("small", reduced_motion=wish)
        style = "getComputedStyle(document.documentElement).scrollBehavior"
        assert page.evaluate(style) == behavior


def test_the_page_adds_nothing_to_the_window(show, browser, tmp_path):
    (tmp_path / "blank.html").write_text("<!doctype html>")
    page, blank = show("small"), browser.new_page()
    blank.goto((tmp_path / "blank.html").as_uri())
    names = "Object.getOwnPropertyNames(window)"
    assert set(page.evaluate(names)) <= set(blank.evaluate(names))
    blank.close()
