"""Reports in a real browser: it draws them, finds nothing to complain about, and clicks through them."""

import pytest
from browser import Browser, find_browser
from report_pages import report, toy_files
from test_report_page import FLAGS, hostile_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no chromium to show pages with"),
]
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(20, 24, 29)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(browser, tmp_path):
    """The browser with a report open."""
    _, prefix, tokenizer = toy_files(tmp_path)
    report(tmp_path, prefix, "--tokenizer", tokenizer, *FLAGS, "--masked-lm-prob", 0.4)
    browser.messages.clear()
    browser.requests.clear()
    browser.prefer("light")
    browser.size(1280)
    browser.open(tmp_path / "report.html")
    yield browser
    assert browser.messages == []
    assert browser.requests == [f"file://{tmp_path}/report.html"]


def test_charts_and_samples_are_drawn(page, tmp_path):
    sizes = page.run(
        "[...document.querySelectorAll('.chart')].map(c => [c.getBoundingClientRect().width,"
        "c.getBoundingClientRect().height, c.querySelectorAll('.bar, .line').length])"
    )
    assert len(sizes) == 8
    assert all(width > 300 and height > 60 and shapes for width, height, shapes in sizes)
    cut = page.run(
        "[...document.querySelectorAll('.chart')].flatMap(c => { const a = c.getBoundingClientRect();"
        "return [...c.querySelectorAll('text')].filter(t => { const b = t.getBoundingClientRect();"
        "return b.left < a.left - 1 || b.right > a.right + 1 || b.top < a.top - 1 || b.bottom > a.bottom + 1;"
        "}).map(t => t.textContent); })"
    )
    assert cut == []
    assert page.run("document.querySelectorAll('.tokens .tok').length") > 100
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_toggle_changes_colours_and_back(page, scheme):
    page.prefer(scheme)
    colours = [LIGHT, DARK] if scheme == "light" else [DARK, LIGHT]
    assert page.run(BACKGROUND) == colours[0]
    for number in (1, 2, 3):
        page.click("#theme")
        assert page.run(BACKGROUND) == colours[number % 2]
        wanted = ("dark", "light")[colours[number % 2] == DARK]
        assert page.run("document.querySelector('#theme').textContent") == wanted
    page.prefer(scheme, media="print")
    assert page.run(BACKGROUND) == LIGHT
    assert page.run("getComputedStyle(document.querySelector('#theme')).display") == "none"
    page.prefer(scheme, media="")


def test_a_token_says_what_it_is(page):
    assert page.run("document.querySelector('#says').hidden")
    page.click(".tokens .tok.m")
    first = page.run("document.querySelector('.tokens .tok.m').title")
    assert page.run("document.querySelector('#says').textContent") == first
    assert first.startswith("id 4 [MASK] · original ")
    assert page.run("document.querySelectorAll('.here').length") == 1
    page.click(".tokens .tok.k")
    assert "kept" in page.run("document.querySelector('#says').textContent")
    page.click("h1")
    assert page.run("document.querySelector('#says').hidden")


def test_every_link_and_every_fold_works(page):
    for name in page.run("[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))"):
        page.click(f"nav a[href='{name}']")
        assert page.run("location.hash") == name
    for number in range(page.run("document.querySelectorAll('summary').length")):
        page.run(f"document.querySelectorAll('summary')[{number}].id = 'fold-{number}'")
        page.click(f"#fold-{number}")
        assert page.run(f"document.querySelector('#fold-{number}').parentElement.open")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_a_phone(page, width):
    page.size(width, mobile=True)
    page.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("Math.min(...[...document.querySelectorAll('p, dd, li')].map(e =>"
                    "parseFloat(getComputedStyle(e).fontSize)))") >= 13  # fmt: skip
    sizes = page.run(
        "[...document.querySelectorAll('.chart')].map(c => c.getBoundingClientRect().width / 400 *"
        "parseFloat(getComputedStyle(c.querySelector('text')).fontSize))"
    )
    assert min(sizes) >= (8 if width < 390 else 10)


def test_hostile_text_does_nothing(browser, tmp_path):
    prefix, tokenizer = hostile_files(tmp_path)
    report(tmp_path, prefix, "--tokenizer", tokenizer, *FLAGS, "--title", "</title><script>document.title=1</script>")
    browser.messages.clear()
    browser.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="window.alerts = []; window.alert = (each) => window.alerts.push(each);",
    )
    browser.open(tmp_path / "report.html")
    assert browser.run("window.alerts") == []
    assert browser.run("document.scripts.length") == 1
    assert browser.run("document.title").startswith("</title><script>")
    # And if something did get through, the page's policy would stop it.
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"alert(9)\">')")
    browser.run("new Promise(done => setTimeout(done, 200))")
    assert browser.run("window.alerts") == []
    assert any("Content Security Policy" in message for message in browser.messages)
