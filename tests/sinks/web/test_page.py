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
import pytest

from edgeresnet.core.errors import DeviceError
from edgeresnet.core.predictions import Classification, Label

CHROMIUM = shutil.which("chromium")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio")
PATIENCE_S = 20
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

    async def show(self, url, width=1280):
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)
        await self.call("Page.navigate", url=url)


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
        assert await tab.value("document.querySelector('.tile img').naturalWidth") == 160
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
        picture = await tab.call("Page.captureScreenshot", format="png")
        assert len(base64.b64decode(picture["data"])) > 10_000

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


@pytest.mark.parametrize("width", [360, 1280])
def test_sixteen_sources_fit_a_phone_and_a_desktop(
    serve, run, make_status, make_source, browse, width
):
    names = [f"camera-with-a-long-name-{i}" for i in range(16)]
    run.status = make_status(*map(make_source, names))
    served = serve()
    for name in names:
        served.put(3, name)

    async def steps(tab):
        await tab.show(f"http://127.0.0.1:{served.port}/", width)
        shown = "document.querySelectorAll('.tile img:not([hidden])').length"
        await tab.until(f"{shown} === 16")
        assert await tab.value("document.documentElement.scrollWidth") <= width

    browse(steps)
