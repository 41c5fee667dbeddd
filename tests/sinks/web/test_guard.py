from urllib.parse import quote

import pytest

from edgeresnet.sinks.web.guard import host_name
from edgeresnet.sinks.web.site import _ASSETS

TOKEN = "0123456789abcdef+/&?"
DATA = ["/api/status", "/api/predictions", "/metrics", "/readyz", "/healthz"]
PICTURES = ["/stream/door.mjpg", "/frame/door.jpg"]
ROUTES = [*_ASSETS, *DATA, *PICTURES, "/nothing"]


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:80", "127.0.0.1.evil.test", "localhost.", "127.0.0.1@x", ""]
)
@pytest.mark.parametrize("path", ["/", "/api/status", "/livez", "/stream/door.mjpg"])
def test_another_name_than_ours_is_misdirected(served, host, path):
    answer = served.get(path, Host=host)
    assert answer.status == 421
    assert b"evil" not in answer.body


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:99", "cam.local:80", "10.1.2.3"]
)
def test_our_names_are_taken_with_any_port(serve, host):
    served = serve("0?host=cam.local,10.1.2.3")
    assert served.get("/livez", Host=host).status == 200


@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: evil.test\r\n"])
def test_one_host_has_to_be_named(served, hosts):
    answer = served.raw(f"GET /api/status HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n")
    assert answer.split()[1] in ("421", "400")
    assert "fps" not in answer


@pytest.mark.parametrize(
    ("header", "name"),
    [("[::ffff:127.0.0.1]:8", "127.0.0.1"), ("[0:0:0::1]", "::1"), ("A.b", "a.b"), ("a b", None)],
)
def test_each_address_has_one_spelling(header, name):
    assert host_name(header) == name


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1:{port}"},
    ],
)
def test_a_page_of_another_site_is_refused(served, headers):
    named = {name: value.format(port=served.port) for name, value in headers.items()}
    for path in ("/api/status", "/frame/door.jpg", "/"):
        assert served.get(path, **named).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:{port}", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "http://127.0.0.1:{port}", "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {},
    ],
)
def test_our_own_page_and_programs_are_answered(served, headers):
    named = {name: value.format(port=served.port) for name, value in headers.items()}
    assert served.get("/api/status", **named).status == 200


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_takes_the_token(guarded, path):
    guarded.put()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        answer = guarded.get(path, **headers)
        assert answer.status == 401
        assert answer.body == b"unauthorized\n"
    assert guarded.get(f"{path}?token=wrong").status == 401
    if path != "/stream/door.mjpg":  # it has no end
        expected = 404 if path == "/nothing" else 200
        assert guarded.get(path, Authorization=f"Bearer {TOKEN}").status == expected
        assert guarded.get(f"{path}?token={quote(TOKEN, safe='')}").status == expected
    else:
        assert guarded.get(path, method="HEAD", Authorization=f"bearer {TOKEN}").status == 200


def test_that_the_server_turns_is_no_secret(guarded):
    assert guarded.get("/livez").status == 200


def test_a_person_without_the_token_is_asked_for_it(guarded):
    answer = guarded.get("/", Accept="text/html,*/*")
    assert answer.status == 401
    assert b'name="token"' in answer.body
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_fetches_its_parts_with_the_token_it_was_opened_with(guarded):
    quoted = quote(TOKEN, safe="")
    page = guarded.get(f"/?token={quoted}").body.decode()
    assert f'src="page.js?token={quoted}"' in page
    assert "{token}" not in page


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(served, method):
    answer = served.get("/api/status", method=method, body=b"x=1")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.headers["Access-Control-Allow-Origin"] is None


def test_a_large_body_is_not_even_read(served):
    answer = served.raw(
        "GET /api/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\nx"
    )
    assert answer.split()[1] == "413"


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/page.js/../../place.py",
        "/place.py",
        "/stream/..%2f..%2fetc%2fpasswd.mjpg",
        "/frame/%00.jpg",
        "/frame/.jpg",
    ],
)
def test_there_are_no_files_to_reach(served, path):
    answer = served.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.split()[1] == "404"
    assert "root:" not in answer


@pytest.mark.parametrize(
    "request_text",
    [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 9000 + "\r\n\r\n",
        "GET /" + "x" * 9000 + "?token=geheim HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_without_a_word(served, request_text, caplog, capsys):
    answer = served.raw(request_text)
    assert answer.split()[1] == "400"
    assert "Python" not in answer
    assert "aiohttp" not in answer
    assert answer.endswith("bad request\n")
    assert "geheim" not in caplog.text + "".join(capsys.readouterr())
    assert served.get("/livez").status == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/status", "/nothing", "/frame/door.jpg"])
def test_every_answer_carries_the_headers(served, path):
    served.put()
    headers = served.get(path).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "edgeresnet"
