import json
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import edgeresnet
from edgeresnet.core.errors import UsageError
from edgeresnet.sinks import open_sink, webhook
from edgeresnet.sinks.event import EventLine

pytestmark = pytest.mark.usefixtures("nothing_left", "quick")

TOKEN = "t0ken-geheim-77"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        site = self.server.site
        site.requests.append((self.path, dict(self.headers), json.loads(body)))
        answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
        try:
            answer(self)
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, *_):
        pass  # a client that went away


class Site:
    """A receiver: each request gets the next answer, the last one serves all that follow."""

    def __init__(self):
        self.requests, self.answers = [], [says(204)]
        self.over = threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.site = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def events(self):
        return [one for _, _, body in self.requests for one in many(body)]


def many(body):
    return body if isinstance(body, list) else [body]


def says(status, body=b"", **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hangs(handler):
    handler.server.site.over.wait(20)
    handler.close_connection = True


def hangs_in_the_body(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"x")
    handler.wfile.flush()
    hangs(handler)


def goes_away(handler):
    handler.close_connection = True


def speaks_nonsense(handler):
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    handler.close_connection = True


@pytest.fixture
def site():
    one = Site()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(webhook, "ANSWER_S", 0.5)


def sink(site, more="", path="/hook"):
    return open_sink(f"webhook:http://127.0.0.1:{site.port}{path}{more}", model="sha256:ab")


def frames(site):
    return [event["frame"] for event in site.events()]


def test_each_event_is_a_request_in_order(site, put, until, exact):
    with sink(site) as box:
        put(box, 20)
        until(lambda: exact(box.delivery()).delivered == 20)
    assert frames(site) == list(range(20))
    path, headers, body = site.requests[0]
    EventLine.model_validate(body)
    assert path == "/hook"
    assert headers["Idempotency-Key"] == body["event_id"]
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"edgeresnet/{edgeresnet.__version__}"
    assert "Authorization" not in headers


def test_the_receivers_own_query_stays_as_it_is(site, put, until):
    with sink(site, "?x=a%2Fb+c&every=0&spool=mine&x=2&flag&auth_token=7") as box:
        put(box, 1)
        until(lambda: site.requests)
    assert site.requests[0][0] == "/hook?x=a%2Fb+c&x=2&flag&auth_token=7"


def test_the_token_goes_in_the_header_and_nowhere_else(site, put, until, said, monkeypatch):
    monkeypatch.setenv("HOOK_TOKEN", TOKEN)
    site.answers = [says(500, TOKEN.encode()), says(401), goes_away, says(200)]
    with sink(site, "?auth=env:HOOK_TOKEN") as box:
        put(box, 1)
        until(lambda: box.delivery().errors == 2)
        shown = repr(box.delivery()) + repr(box) + repr(box.__dict__)
        until(lambda: box.delivery().delivered == 1)
    assert site.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"
    assert "HOOK_TOKEN" not in site.requests[0][0]
    assert TOKEN not in said() + shown


def test_batches_hold_what_is_waiting(site, put, until, exact):
    site.answers = [says(500), says(200)]
    with sink(site, "?batch=7") as box:
        put(box, 30)
        until(lambda: exact(box.delivery()).delivered == 30)
    assert all(isinstance(body, list) and len(body) <= 7 for _, _, body in site.requests)
    assert any(len(body) == 7 for _, _, body in site.requests)
    first = len(site.requests[0][2])
    assert frames(site)[first:] == list(range(30))
    keys = [headers["Idempotency-Key"] for _, headers, _ in site.requests]
    same = site.requests[0][2] == site.requests[1][2]
    assert (keys[0] == keys[1]) is same


def test_one_bad_event_does_not_take_its_batch_along(site, put, until, exact, said):
    def picky(handler):
        bad = any(event["frame"] == 4 for event in many(site.requests[-1][2]))
        says(422 if bad else 200)(handler)

    site.answers = [says(500), picky]
    with sink(site, "?batch=10") as box:
        put(box, 20)
        until(lambda: not box.delivery().waiting)
        status = exact(box.delivery())
        assert (status.delivered, status.dropped) == (19, {"rejected": 1})
    assert said().count("answers 422") == 1


# K8
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(500), "error: http://127.0.0.1:"),
        (says(503), "error: "),
        (says(408), "busy: "),
        (says(425), "busy: "),
        (says(429), "busy: "),
        (hangs, "timeout: "),
        (goes_away, "closed: "),
        (speaks_nonsense, "error: "),
    ],
)
def test_what_fails_now_may_work_later(answer, reason, site, put, until, exact):
    site.answers = [answer]
    with sink(site) as box:
        put(box, 3)
        until(lambda: box.delivery().errors)
        assert box.delivery().reason.startswith(reason)
        assert exact(box.delivery()).waiting == 3
        site.answers = [says(200)]
        site.over.set()
        until(lambda: box.delivery().delivered == 3)
        assert box.delivery().reason == ""
    assert frames(site)[-3:] == [0, 1, 2]
    assert len({event["event_id"] for event in site.events()}) == 3


def test_a_receiver_that_is_not_there_is_tried_again(site, put, until):
    site.close()
    with sink(site) as box:
        put(box, 1)
        until(lambda: box.delivery().errors >= 2)
        assert box.delivery().reason.startswith("refused: ")
        until(lambda: box.delivery().state == "failing")


def test_a_broken_receiver_gets_one_request_a_rung(site, put, until):
    site.answers = [says(500)]
    with sink(site) as box:
        put(box, 50)
        until(lambda: box.delivery().state == "failing")
        status = box.delivery()
        assert len(site.requests) - status.errors in (0, 1)
    assert set(frames(site)) == {0}


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "unauthorized"), (403, "forbidden"), (404, "not-found"), (302, "redirect")],
)
def test_a_mistake_in_the_settings_loses_nothing(status, reason, site, put, until, exact):
    site.answers = [says(status, Location=f"http://127.0.0.1:{site.port}/other")]
    with sink(site) as box:
        put(box, 3)
        until(lambda: box.delivery().state == "failing")
        time.sleep(0.2)
        found = exact(box.delivery())
        assert found.reason.startswith(f"{reason}: ")
        assert (found.waiting, found.dropped) == (3, {})
        assert found.errors <= 2
    assert {path for path, _, _ in site.requests} == {"/hook"}


def test_what_is_never_taken_is_dropped_counted_and_said_once(site, put, until, exact, said):
    site.answers = [says(400)]
    with sink(site) as box:
        put(box, 30)
        until(lambda: not box.delivery().waiting)
        assert exact(box.delivery()).dropped == {"rejected": 30}
    assert said().count("answers 400") == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_busy_receiver_is_left_alone_as_long_as_it_asks(form, site, put, until):
    now = datetime.now(timezone.utc)
    date = format_datetime(now + timedelta(seconds=1), usegmt=True)
    site.answers = [says(429, Retry_After="1" if form == "seconds" else date), says(200)]
    with sink(site) as box:
        began = time.monotonic()
        put(box, 1)
        until(lambda: box.delivery().delivered == 1)
        if form == "seconds":
            assert time.monotonic() - began >= 1
    assert len(site.requests) == 2


@pytest.mark.parametrize(
    ("asked", "date", "wait_s"),
    [
        ("7", "", 7),
        ("0", "", 0),
        ("100000", "", 300),
        ("9" * 5000, "", 300),
        ("Wed, 01 Jan 2020 00:01:00 GMT", "Wed, 01 Jan 2020 00:00:00 GMT", 60),
        ("Wed, 01 Jan 2020 00:01:00 -0000", "Wed, 01 Jan 2020 00:00:00 GMT", 60),
        ("Wed, 01 Jan 2020 00:00:00 GMT", "Thu, 02 Jan 2020 00:00:00 GMT", 0),
        ("Wed, 01 Jan 2020 00:00:00 GMT", "", 0),
        ("soon", "", None),
        ("-5", "", None),
        ("²", "", None),
        ("", "", None),
    ],
)
def test_what_retry_after_asks_for(asked, date, wait_s):
    assert webhook._wait_s(webhook._Answer(429, asked, date)) == wait_s


def test_a_long_reply_is_not_read(site, put, until):
    sent = []

    def long(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "10000000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x" * 10_000)
            sent.append(10_000)

    site.answers = [long]
    with sink(site) as box:
        put(box, 3)
        until(lambda: box.delivery().delivered == 3)
    assert sum(sent) < 3 * 10_000_000


def test_an_event_is_delivered_when_the_status_says_so(site, put, until):
    site.answers = [hangs_in_the_body, says(200)]
    with sink(site) as box:
        put(box, 2)
        until(lambda: box.delivery().delivered == 2)
    assert frames(site) == [0, 1]


def test_the_end_does_not_wait_for_a_receiver_that_hangs(site, put, until, monkeypatch, exact):
    monkeypatch.setattr(webhook, "ANSWER_S", 60)
    site.answers = [hangs]
    with sink(site) as box:
        put(box, 2)
        until(lambda: site.requests)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert exact(box.delivery()).waiting == 2


def test_a_connection_is_used_again_and_a_closed_one_is_noticed(site, put, until):
    clients = []

    def once(handler):
        clients.append(handler.client_address)
        says(200)(handler)
        handler.close_connection = len(clients) % 2 == 0  # without saying so

    site.answers = [once]
    with sink(site) as box:
        for index in range(6):
            put(box, 1, first=index)
            until(lambda index=index: box.delivery().delivered == index + 1)
            time.sleep(0.05)
        assert box.delivery().errors == 0
    assert len(set(clients)) == 3


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("webhook:host/path", "no URL of the web"),
        ("webhook:ftp://host/path", "no URL of the web"),
        ("webhook:https:///path", "no host"),
        ("webhook:https://host:x/", "no URL"),
        ("webhook:https://me:geheim77@host/", "a password in the address"),
        ("webhook:https://host/?batch=0", "batch"),
        ("webhook:https://host/?batch=many", "batch"),
        ("webhook:https://host/?auth=geheim77", "by reference"),
        ("webhook:https://host/?auth=env:LINES", "no header carries"),
        ("webhook:http://host/?ca=x.pem", "ca is for TLS"),
        ("webhook:https://host/?ca=/no/such.pem", "no such file"),
        ("webhook:https://host/a\nb", "blank or control"),
    ],
)
def test_a_wrong_address_is_refused_at_once(text, what, monkeypatch, state):
    monkeypatch.setenv("LINES", "geheim77\r\nX-Evil: 1")
    with pytest.raises(UsageError) as caught, open_sink(text, model="m"):
        pass
    assert what in caught.value.what
    assert "geheim77" not in str(caught.value)
    assert not list(state.glob("*.spool"))


def test_tokens_of_others_in_the_url_are_not_shown(site, put, until, said):
    secrets = ("XyZ0123456789abcdefghijk", "q-geheim-1")
    site.answers = [says(500)]
    with sink(site, f"?sig={secrets[1]}", path=f"/services/{secrets[0]}") as box:
        put(box, 1)
        until(lambda: box.delivery().errors)
        shown = said() + repr(box.delivery())
        from edgeresnet.core.secrets import redact

        shown += redact(f"{secrets[0]} {secrets[1]}")
    assert not [one for one in secrets if one in shown]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("", ""),
        ("expired", "has expired"),
        ("host", "is for another host"),
        ("authority", "comes from an authority"),
    ],
)
def test_a_certificate_is_always_checked(fault, line, site, put, until, certificate, tmp_path):
    import ssl

    ca, other = (certificate(tmp_path, name) for name in ("ca", "other"))
    made, key = certificate(
        tmp_path,
        "server",
        host="example.org" if fault == "host" else "127.0.0.1",
        days=-1 if fault == "expired" else 2,
        authority=other if fault == "authority" else ca,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    site._server.socket = context.wrap_socket(site._server.socket, server_side=True)
    text = f"webhook:https://127.0.0.1:{site.port}/hook?ca={ca[0]}"
    with open_sink(text, model="m") as box:
        put(box, 2)
        if fault:
            until(lambda: box.delivery().state == "failing")
            assert box.delivery().reason.startswith("tls: ")
            assert line in box.delivery().reason
            assert not site.requests
        else:
            until(lambda: box.delivery().delivered == 2)


def test_a_token_in_the_clear_is_said_aloud(said, monkeypatch):
    monkeypatch.setattr(webhook.Receiver, "work", lambda *_: None)
    monkeypatch.setenv("HOOK_TOKEN", TOKEN)
    with open_sink("webhook:http://192.0.2.1/?auth=env:HOOK_TOKEN", model="m"):
        pass
    assert "TOKEN IS SENT IN THE CLEAR" in said()
    assert TOKEN not in said()
    assert sys.modules["edgeresnet.sinks.webhook"] is webhook
