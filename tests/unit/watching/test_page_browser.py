"""The page in a real browser: pictures, ages, errors, names that are no markup, and that it refreshes by itself."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelarray.watching.page import PageServer

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EVIL = '<img src=x onerror="window.hacked=1"> & "run" #7?.tiq'


def missing(reason: str) -> None:
    if os.environ.get("REELARRAY_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason}, and REELARRAY_REQUIRE_BROWSER=1")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing(f"no browser is installed ({', '.join(NAMES)})")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = context.new_page()
    made.troubles = []
    made.on("pageerror", lambda error: made.troubles.append(str(error)))
    made.set_default_timeout(20_000)
    yield made
    context.close()


def utc(seconds_ago: float = 0) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return (now - datetime.timedelta(seconds=seconds_ago)).isoformat()


def picture(path: Path, color: tuple[int, int, int]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((70, 160, 3), color, np.uint8)).save(path)


def write(folder: Path, **changes: Any) -> None:
    """A status as the service writes it, in one step."""
    said: dict[str, Any] = {
        "service": {"state": "running", "process": 1, "started": utc(100), "updated": utc()},
        "counts": {"pending": 2, "running": 1, "done": 7, "failed": 1},
        "analysers": {},
        "failures": [],
        **changes,
    }
    temporary = folder / ".status"
    temporary.write_text(json.dumps(said))
    temporary.replace(folder / "status.json")


def analyser(**changes: Any) -> dict[str, Any]:
    counts = {"pending": 0, "running": 0, "done": 3, "failed": 0}
    return {"counts": counts, "latest": None, "last_error": None, "oldest_waiting": None, **changes}


def latest(recording: str, picture: str, zoom: str | None = None, ago: float = 30) -> dict[str, Any]:
    return {"recording": recording, "start": utc(ago + 20), "finished": utc(ago), "picture": picture, "zoom": zoom}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[PageServer]:
    with PageServer(folder, "0") as made:
        yield made


def color_of(tab: Any, selector: str) -> list[int]:
    """The colour that a picture on the page really has."""
    return tab.evaluate(
        """(selector) => {
            const image = document.querySelector(selector);
            const canvas = document.createElement("canvas");
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            return Array.from(context.getImageData(5, 5, 1, 1).data).slice(0, 3);
        }""",
        selector,
    )


def until(tab: Any, expression: str, seconds: float = 20) -> None:
    """Wait for an expression to hold; the page forbids what playwright's own `wait_for_function` would do in it."""
    for _ in range(round(seconds * 10)):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(100)
    pytest.fail(f"{expression} never came true; the page says: {tab.inner_text('body')}")


def test_shows_pictures_ages_errors_and_refreshes_by_itself(tab: Any, server: PageServer, folder: Path) -> None:
    picture(folder / "left.png", (200, 0, 0))
    picture(folder / "zoom_left.png", (0, 200, 0))
    left = analyser(
        latest=latest("run7.tiq", "left.png", "zoom_left.png"),
        last_error={"recording": "bad.tiq", "error": "too short: 3 samples", "time": utc(60)},
        oldest_waiting=utc(300),
    )
    failure = {"recording": "bad.tiq", "analyser": "left", "error": "too short", "attempts": 3, "next_try": None}
    write(folder, analysers={"left": left, "right": analyser()}, failures=[failure])
    tab.goto(server.url)
    tab.wait_for_selector(".picture img")
    tab.wait_for_selector(".zoom img")
    assert color_of(tab, ".picture img") == [200, 0, 0]
    assert color_of(tab, ".zoom img") == [0, 200, 0]
    assert tab.locator("h2").all_inner_texts()[:2] == ["left", "right"]
    assert tab.locator(".age").first.inner_text().endswith(" s ago")
    assert 29 <= int(tab.locator(".age").first.inner_text().split()[0]) <= 60
    assert "run7.tiq, recorded 20" in tab.locator(".recording").first.inner_text()
    assert "bad.tiq: too short: 3 samples" in tab.locator(".error").first.inner_text()
    assert "5 min ago" in tab.locator(".waiting").first.inner_text()
    assert "No picture yet." in tab.locator(".analyser").nth(1).inner_text()
    assert "7 done, 1 running, 2 pending, 1 failed" in tab.locator("#service").inner_text()
    assert tab.locator("#failures tbody tr").count() == 1
    assert tab.locator("#trouble").is_hidden()
    # Another recording, by nothing but files that change.
    picture(folder / "left.png", (0, 0, 200))
    left = analyser(latest=latest("run8.tiq", "left.png", "zoom_left.png", ago=1))
    write(folder, analysers={"left": left})
    until(tab, "document.querySelector('.recording').textContent.includes('run8.tiq')")
    until(tab, "document.querySelector('.picture img').src.includes('v=')")
    until(tab, "document.querySelector('.picture img').alt.includes('run8.tiq')")
    assert color_of(tab, ".picture img") == [0, 0, 200]
    assert tab.locator(".analyser").count() == 1
    assert tab.locator("#failures").is_hidden()
    assert tab.locator(".error").first.is_hidden()
    assert tab.troubles == []


def test_names_are_text_and_never_markup(tab: Any, server: PageServer, folder: Path) -> None:
    name = EVIL.replace("/", "")
    picture(folder / f"{name}.png", (10, 20, 30))
    one = analyser(
        latest=latest(name, f"{name}.png"), last_error={"recording": name, "error": f"<b>{name}</b>", "time": utc()}
    )
    script = {"latest": latest("x", "javascript:window.hacked=1//.png")}
    failure = {"recording": name, "analyser": name, "error": f"{name}<script>hacked=1</script>", "attempts": 1}
    write(folder, analysers={name: one, "__proto__x": analyser(**script)}, failures=[failure])
    tab.goto(server.url)
    tab.wait_for_selector(".picture img")
    assert color_of(tab, ".picture img") == [10, 20, 30]
    assert name in tab.locator("h2").all_inner_texts()
    assert tab.locator("td").nth(1).inner_text() == name
    assert f"<b>{name}</b>" in tab.locator(".error").first.inner_text()
    tab.wait_for_selector(".missing")
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("#analysers b, #analysers script, td script, td img").count() == 0
    assert all(link.startswith(server.url) for link in tab.evaluate("[...document.links].map((a) => a.href)"))


def test_a_missing_picture_and_a_broken_one_give_a_message_until_they_come(
    tab: Any, server: PageServer, folder: Path
) -> None:
    (folder / "broken.png").write_bytes(b"no picture at all")
    both = {"a": analyser(latest=latest("a.tiq", "gone.png")), "b": analyser(latest=latest("b.tiq", "broken.png"))}
    write(folder, analysers=both)
    tab.goto(server.url)
    until(tab, "document.querySelectorAll('.missing').length === 2")
    texts = tab.locator(".missing").all_inner_texts()
    assert "gone.png cannot be shown" in texts[0]
    assert "broken.png cannot be shown" in texts[1]
    picture(folder / "gone.png", (1, 2, 3))
    tab.wait_for_selector(".picture img")
    assert color_of(tab, ".picture img") == [1, 2, 3]


def test_a_status_that_is_gone_or_old_is_told(tab: Any, server: PageServer, folder: Path) -> None:
    tab.goto(server.url)
    tab.wait_for_selector("#trouble:not([hidden])")
    assert "404" in tab.locator("#trouble").inner_text()
    write(folder)
    tab.wait_for_selector("#trouble[hidden]", state="attached")
    (folder / "status.json").write_text('{"half')
    tab.wait_for_selector("#trouble:not([hidden])")
    old = {"state": "running", "process": 1, "started": utc(9000), "updated": utc(8000)}
    write(folder, service=old)
    until(tab, "document.getElementById('trouble').textContent.includes('No news')")
    assert tab.troubles == []


def test_fits_a_phone(browser: Any, server: PageServer, folder: Path) -> None:
    long = "a_very_long_name_of_a_recording_without_any_space_" * 3 + ".tiq"
    picture(folder / "x.png", (0, 90, 90))
    failure = {"recording": long, "analyser": "left", "error": "e" * 200, "attempts": 1, "next_try": None}
    write(folder, analysers={"left": analyser(latest=latest(long, "x.png", "x.png"))}, failures=[failure])
    context = browser.new_context(viewport={"width": 360, "height": 740}, is_mobile=True, device_scale_factor=2)
    try:
        tab = context.new_page()
        tab.goto(server.url)
        tab.wait_for_selector(".zoom img")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        box = tab.locator(".picture img").bounding_box()
        assert 300 <= box["width"] <= 360
    finally:
        context.close()
