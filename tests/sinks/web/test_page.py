"""The page in a real browser, steered over its debugging port."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from urllib.parse import quote

import aiohttp
import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import DeviceError
from edgeresnet.core.predictions import Classification, Detections, Label
from edgeresnet.sinks.draw import annotate

CHROMIUM = shutil.which("chromium")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio")
PATIENCE_S = 20
GREY = 120
SIZE = (480, 640)
THINGS = Detections(
    np.array([[90, 70, 250, 210], [400, 250, 560, 420]], np.float32),
    np.array([0.9, 0.75], np.float32),
    np.array([8, 0]),
    ("cat", "dog"),
    np.array([5, 12]),
)
HOSTILE = "<img src=x onerror=document.title='owned'>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def devtools(tmp_path_factory):
    """Address of a running browser's debugging port."""
    profile = tmp_path_factory.mktemp("chromium")
    command = [CHROMIUM, *OPTIONS, "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    browser = subprocess.Popen([*command, "about:blank"], stderr=subprocess.PIPE, text=True)
    try:
        found = None
        while found is None:
            line = browser.stderr.readline()
            assert line, "chromium ended"
            found = re.search(r"ws://([^/]+)", line)
        drain = threading.Thread(target=browser.stderr.read, daemon=True)
        drain.start()
        yield f"http://{found[1]}"
    finally:
        browser.terminate()
        browser.wait(PATIENCE_S)
        drain.join(PATIENCE_S)
        browser.stderr.close()


class Tab:
    """One page of the browser."""

    def __init__(self, socket):
        self._socket, self._number = socket, 0
        self.complaints = []
        """Exceptions and refusals of the content policy."""

    async def call(self, method, **parameters):
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            answer = json.loads((await self._socket.receive(timeout=PATIENCE_S)).data)
            if answer.get("id") == self._number:
                return answer["result"]
            text = json.dumps(answer)
            if "exceptionThrown" in text or "Content Security Policy" in text:
                self.complaints.append(text)

    async def value(self, expression):
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression):
        end = time.monotonic() + PATIENCE_S
        while not (found := await self.value(expression)):
            assert time.monotonic() < end, f"not so: {expression}"
            await asyncio.sleep(0.05)
        return found

    async def show(self, url, width=1280, scheme="light"):
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        preferred = {"name": "prefers-color-scheme", "value": scheme}
        await self.call("Emulation.setEmulatedMedia", features=[preferred])
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)
        await self.call("Page.navigate", url=url)

    async def screenshot(self):
        """What is seen of the page from its top (height, width, 3), BGR."""
        answer = await self.call("Page.captureScreenshot", format="png")
        packed = np.frombuffer(base64.b64decode(answer["data"]), np.uint8)
        return cv2.imdecode(packed, cv2.IMREAD_COLOR)


@pytest.fixture
def browse(devtools):
    """Runs ``steps(tab)`` in a new tab."""

    def browsed(steps):
        async def whole():
            async with aiohttp.ClientSession() as session:
                async with session.put(f"{devtools}/json/new?about:blank") as answer:
                    target = await answer.json()
                address = target["webSocketDebuggerUrl"]
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    tab = Tab(socket)
                    await steps(tab)
                async with session.get(f"{devtools}/json/close/{target['id']}") as answer:
                    await answer.read()
                assert not tab.complaints

        asyncio.run(whole())

    return browsed


@pytest.fixture
def feeding(served):
    """A source that goes on while the test looks."""
    stop = threading.Event()

    def feed():
        index = 0
        with suppress(DeviceError):  # once the test has closed the sink
            while not stop.wait(0.05):
                served.put(index, value=200, size=(120, 160))
                index += 1

    thread = threading.Thread(target=feed)
    thread.start()
    yield served
    stop.set()
    thread.join()


def test_pictures_labels_and_states_appear_and_the_server_may_go_and_come_back(
    feeding, unwell, browse, serve
):
    async def steps(tab):
        await tab.show(f"http://127.0.0.1:{feeding.port}/")
        first = await tab.until("document.querySelector('.tile img')?.dataset.frame")
        await tab.until(f"document.querySelector('.tile img').dataset.frame > {first}")
        await tab.until("document.querySelector('.tile img').naturalWidth === 160")
        await tab.until("document.querySelector('.labels .name')?.textContent === 'tabby'")
        assert await tab.value("document.querySelector('.labels .score').textContent") == "90.0 %"
        chips = (
            "[...document.querySelectorAll('.tile .chip:not([hidden])')].map(c => c.textContent)"
        )
        assert await tab.value(chips) == ["live", "stalled"]
        assert "no frame for 12 s" in await tab.value(
            "document.querySelector('.tile .why:not([hidden])').textContent"
        )
        assert await tab.value("document.getElementById('verdict').textContent") == "2 troubles"
        sinks = await tab.value("document.getElementById('sinks').textContent")
        assert "failing" in sinks
        assert "connection refused" in sinks
        identity = await tab.value("document.getElementById('identity').textContent")
        assert identity == "220captured=200inferred+20dropped"
        await tab.until("document.querySelector('#fps path.line').getAttribute('d').includes('L')")
        label = await tab.value("document.getElementById('latency').getAttribute('aria-label')")
        assert label == "Latency, now: p50 18.0 ms, p99 30.0 ms"
        assert (await tab.screenshot()).std() > 10

        await tab.value("document.querySelector('.view').click()")
        assert await tab.value("document.querySelector('.large h2').textContent") == "door"
        await asyncio.to_thread(feeding.sink.close)
        await tab.until("!document.getElementById('gone').hidden")
        gone = await tab.value("document.getElementById('gone').textContent")
        assert "does not answer" in gone
        again = await asyncio.to_thread(serve, str(feeding.port))
        await asyncio.to_thread(again.put, 0)
        await tab.until("document.getElementById('gone').hidden")
        await tab.until("document.querySelector('.tile img').dataset.frame === '0'")

    browse(steps)


def test_names_are_text_and_never_markup(served, run, make_status, make_source, browse):
    run.status = make_status(make_source(HOSTILE, "stalled", reason=HOSTILE, detail=HOSTILE))
    served.put(0, HOSTILE, prediction=Classification((Label(0, HOSTILE, 0.5),)))

    async def steps(tab):
        await tab.show(f"http://127.0.0.1:{served.port}/")
        await tab.until("document.querySelector('.tile img')?.dataset.frame")
        await tab.until(f"document.querySelector('.labels .name')?.textContent === `{HOSTILE}`")
        assert await tab.value("document.querySelector('.tile h2').textContent") == HOSTILE
        assert await tab.value("document.querySelectorAll('[onerror]').length") == 0
        assert await tab.value("document.title") == "(1) edgeresnet"

    browse(steps)


def test_a_run_that_nobody_keeps_track_of_has_its_pictures(serve, browse):
    served = serve(status=None)
    served.put(4)

    async def steps(tab):
        await tab.show(f"http://127.0.0.1:{served.port}/")
        await tab.until("document.querySelector('.tile img')?.dataset.frame === '4'")
        await tab.until("document.getElementById('verdict').textContent === 'no figures'")
        assert await tab.value("document.getElementById('gone').hidden")

    browse(steps)


def test_the_token_leaves_the_address_and_a_reload_finds_it_again(guarded, browse):
    guarded.put(5)

    async def steps(tab):
        await tab.show(f"http://127.0.0.1:{guarded.port}/?token={quote(guarded.token, safe='')}")
        await tab.until("document.querySelector('.tile img')?.dataset.frame")
        assert await tab.value("location.href") == f"http://127.0.0.1:{guarded.port}/"
        await tab.call("Page.reload")
        await asyncio.sleep(0.3)
        await tab.until("document.querySelector('.tile img')?.dataset.frame")
        assert await tab.value("location.search") == ""
        await tab.value("sessionStorage.clear()")
        await tab.call("Page.reload")
        await tab.until("document.querySelector('input[name=token]') !== null")

    browse(steps)


def colours():
    """Of the boxes of THINGS."""
    drawn = annotate(np.full((*SIZE, 3), GREY, np.uint8), THINGS, text=0)
    return [drawn[round((box[1] + box[3]) / 2), round(box[0])] for box in THINGS.xyxy.tolist()]


def near(pixels, colour):
    """Which of ``pixels`` (n, 3) have that colour, more or less."""
    return np.abs(pixels.astype(int) - colour).max(1) < 60


async def check_boxes(tab):
    """Each side of each box in its colour, grey beside it, and above it what it is."""
    find = "(({left, top, width, height}) => [left, top, width, height])"
    rect = f"{find}(document.querySelector('.view img').getBoundingClientRect())"
    left, top, width, height = await tab.value(rect)
    seen = await tab.screenshot()
    scale = min(width / SIZE[1], height / SIZE[0])
    left, top = left + (width - scale * SIZE[1]) / 2, top + (height - scale * SIZE[0]) / 2
    for box, colour in zip(THINGS.xyxy, colours(), strict=True):
        x0, y0, x1, y1 = (scale * box + (left, top, left, top)).round().astype(int).tolist()
        x, y = (x0 + x1) // 2, (y0 + y1) // 2
        for strip in (
            seen[y, x0 - 8 : x0 + 9],
            seen[y, x1 - 8 : x1 + 9],
            seen[y1 - 8 : y1 + 9, x],
        ):
            assert near(strip[6:11], colour).any(), (strip.tolist(), colour)
            assert near(strip[[0, -1]], GREY).all()
        tag = near(seen[: y0 - 1, x0 + round(4 * scale)], colour)[::-1]
        assert 14 <= tag.argmin() <= 60  # pixels: 9 of text at least
    return scale


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "text"), [(360, "large"), (1280, "")])
def test_boxes_are_seen_where_they_are_at_every_size(served, browse, width, text, scheme):
    served.put(3, size=SIZE, value=GREY, prediction=THINGS)

    async def steps(tab):
        await tab.show(f"http://127.0.0.1:{served.port}/", width, scheme)
        drawn = f"document.querySelector('.view img')?.dataset.text === '{text}'"
        await tab.until(drawn)
        small = await check_boxes(tab)
        await tab.value("document.querySelector('.view').click()")
        await tab.until("document.querySelector('.large') !== null")
        await tab.until(drawn)
        assert await check_boxes(tab) >= small

    browse(steps)


def test_things_are_counted_and_what_is_below_stays_while_they_go(served, browse):
    boxes = Detections(
        np.zeros((8, 4), np.float32), np.ones(8, np.float32), np.arange(8), tuple("caabdefg")
    )
    served.put(1, size=SIZE, prediction=boxes)

    async def steps(tab):
        await tab.show(f"http://127.0.0.1:{served.port}/")
        await tab.until("document.querySelector('.labels li') !== null")
        rows = "[...document.querySelectorAll('.labels li')].map(row => row.innerText.split('\\n'))"
        assert await tab.value(rows) == [
            *(["boxes", "8"], ["a", "2"], ["b", "1"], ["c", "1"], ["d", "1"], ["e", "1"]),
            ["others", "2"],
        ]
        assert await tab.value("document.querySelectorAll('.bar:not([hidden])').length") == 0
        height = await tab.value("document.querySelector('.labels').offsetHeight")
        served.put(2, size=SIZE, prediction=boxes.only(np.array([0])))
        await tab.until(f"{rows}.length === 2")
        assert await tab.value(rows) == [["box", "1"], ["c", "1"]]
        assert await tab.value("document.querySelector('.labels').offsetHeight") == height

    browse(steps)


@pytest.mark.parametrize("width", [360, 1280])
def test_sixteen_sources_fit_a_phone_and_a_desktop(
    serve, run, make_status, make_source, browse, width
):
    names = [f"camera-with-a-long-name-{i}" for i in range(16)]
    run.status = make_status(*map(make_source, names))
    served = serve()
    for name in names:
        served.put(3, name, size=SIZE, prediction=THINGS)

    async def steps(tab):
        await tab.show(f"http://127.0.0.1:{served.port}/", width)
        shown = "document.querySelectorAll('.tile img:not([hidden])').length"
        await tab.until(f"{shown} === 16")
        await tab.until("document.querySelectorAll('img[data-text=none]').length === 16")
        assert await tab.value("document.documentElement.scrollWidth") <= width

    browse(steps)
