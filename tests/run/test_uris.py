"""Tables become the URIs that the command line would take, and say what is wrong with them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet import sinks
from edgeresnet.core.errors import UsageError
from edgeresnet.core.region import RegionSpec
from edgeresnet.run.uris import sink_uri, source_uri
from edgeresnet.sources import parse_source
from edgeresnet.testing import plugged


@pytest.fixture
def net():
    """A sink scheme that takes options."""
    with plugged(sinks.SCHEMES, "net"):
        yield


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"uri": "0", "name": "a"}, "0?as=a"),
        ({"uri": "0?width=640", "fps": 30}, "0?width=640&fps=30"),
        ({"uri": "/dev/video2", "fps": 29.97}, "/dev/video2?fps=29.97"),
        ({"uri": "camera://1?", "name": "a"}, "camera://1?as=a"),
        ({"uri": "img_?.png", "name": "a"}, "img_?.png?as=a"),
        ({"uri": "img_?.png?start=2", "name": "a"}, "img_?.png?start=2&as=a"),
        ({"uri": "file:///x/y?loop=1", "roi": [1, 2, 3, 4]}, "file:///x/y?loop=1&roi=1,2,3,4"),
        ({"uri": "http://c/v?q=1", "stall_s": 2.5}, "http://c/v?q=1&stall=2.5"),
        ({"uri": "rtsp://c", "auth": "file:/a b"}, "rtsp://c?auth=file:%2Fa%20b"),
        ({"uri": "csi://0", "roi": [0.0, 1e-7, 0.5, 0.5]}, "csi://0?roi=0.0,0.0000001,0.5,0.5"),
    ],
)
def test_a_source_is_spelled_out(table, text):
    assert source_uri(table, "app.toml", 1).text == text


@pytest.mark.parametrize(
    ("table", "what", "hint"),
    [
        ({}, "missing 'uri'", ""),
        ({"uri": ""}, "uri: ", ""),
        ({"uri": "camra://0"}, "uri: no source scheme named 'camra'", "did you mean 'camera'"),
        ({"uri": "0", "nmae": "a"}, "unknown key 'nmae'", "did you mean 'name'?"),
        ({"uri": "0", "name": "a b"}, "name: ", ""),
        ({"uri": "0", "name": "a" * 65}, "name: ", ""),
        ({"uri": "0", "name": "a\n"}, "name: ", ""),
        ({"uri": "0?as=a", "name": "b"}, "as is given twice", ""),
        ({"uri": "rtsp://c", "fps": 5}, "fps: rtsp:// takes none", "[run] fps"),
        ({"uri": "0", "fps": 0}, "fps: ", ""),
        ({"uri": "0", "fps": "5"}, "fps: Input should be a valid number", ""),
        ({"uri": "0", "stall_s": float("inf")}, "stall_s: ", ""),
        ({"uri": "0", "roi": [1, 2, 3]}, "missing 'roi.3'", ""),
        ({"uri": "0", "roi": [1, 2, 3, True]}, "roi.3: ", ""),
        ({"uri": "0", "roi": [0, 0, 0.5, 0.5]}, "mixes pixels and parts", "in pixels, or in parts"),
        ({"uri": "0", "roi": [0.5, 0.0, 0.6, 1.0]}, "leaves the frame", ""),
        ({"uri": "0", "roi": [-1, 0, 5, 5]}, "is not four numbers", ""),
        ({"uri": "rtsp://u:pw@c/"}, "a user or a password is in it", "auth = "),
        ({"uri": "rtsp://u@c/"}, "a user or a password is in it", "auth = "),
        ({"uri": "rtsp://u%3Apw%40c/"}, "a user or a password is in it", "auth = "),
        ({"uri": "http://c/?user=a&PWD=b"}, "a password or a token is in its query", "auth = "),
        ({"uri": "http://c/?api%5fkey=b"}, "a password or a token is in its query", "auth = "),
    ],
)
def test_a_wrong_source_is_refused_with_its_number(table, what, hint):
    with pytest.raises(UsageError) as caught:
        source_uri(table, "app.toml", 2)
    assert caught.value.what.startswith("app.toml: [[source]] 2")
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_the_name_is_in_the_message():
    with pytest.raises(UsageError, match=r"\[\[source\]\] 2 \(door\): fps: "):
        source_uri({"uri": "0", "name": "door", "fps": -1}, "app.toml", 2)


parts = st.floats(0.001, 0.5)


@given(st.tuples(parts, parts, parts, parts) | st.tuples(*[st.integers(1, 10**9)] * 4))
def test_a_region_means_the_same_as_on_the_command_line(roi):
    text = source_uri({"uri": "rtsp://c/x?a=1", "roi": list(roi)}, "app.toml", 1).text
    region = RegionSpec.of(parse_source(text).options["roi"], "")
    assert (region.left, region.top, region.width, region.height) == roi
    assert region.parts is isinstance(roi[0], float)


@given(
    st.sampled_from(["rtsp://c/x", "http://c?a=b", "https://c/p?x=%20+&y"]),
    st.text(min_size=1).filter(lambda text: "\0" not in text),
)
def test_whatever_a_reference_is_made_of_arrives(uri, path):
    reference = f"file:{path.encode('utf-8', 'ignore').decode()}"
    found = source_uri({"uri": uri, "auth": reference}, "app.toml", 1)
    assert parse_source(found.text).options["auth"] == reference
    assert parse_source(found.text).place == parse_source(uri).place
    assert found.references == {"auth": reference}


@pytest.mark.parametrize(
    ("table", "text", "references"),
    [
        ({"uri": "jsonl:a?b=c"}, "jsonl:a?b=c", {}),
        ({"uri": "net://h/t"}, "net://h/t", {}),
        (
            {"uri": "net://h/t?a=1", "auth": "env:A", "options": {"every": 5, "full": True}},
            "net://h/t?a=1&auth=env:A&every=5&full=1",
            {"auth": "env:A"},
        ),
        ({"uri": "net:80", "token": "auto"}, "net:80?token=auto", {}),
        ({"uri": "net:8?token=file:t"}, "net:8?token=file:t", {"token": "file:t"}),
        ({"uri": "net:80", "options": {"a": "x&y=z w"}}, "net:80?a=x%26y%3Dz%20w", {}),
        ({"uri": "net:80", "options": {"a": 0.5, "b": False}}, "net:80?a=0.5&b=0", {}),
        ({"uri": "net:80", "options": {"sign": "env:K"}}, "net:80?sign=env:K", {"sign": "env:K"}),
        ({"uri": "net:h", "options": {"ca": "/etc/x.pem"}}, "net:h?ca=/etc/x.pem", {}),
    ],
)
def test_a_sink_is_spelled_out(net, table, text, references):
    found = sink_uri(table, "app.toml", 1)
    assert (found.text, found.references) == (text, references)


@pytest.mark.parametrize(
    ("table", "what", "hint"),
    [
        ({"uri": "josnl:-"}, "[[sink]] 3: uri: no sink scheme", "did you mean 'jsonl'"),
        ({"uri": "jsonl:-", "topic": "a"}, "[[sink]] 3: unknown key 'topic'", "known: uri"),
        ({"uri": "jsonl:-", "auth": "env:A"}, "[[sink]] 3 (jsonl): auth: jsonl: takes none", ""),
        ({"uri": "net:h?every=2", "options": {"every": 1}}, "every is given twice", ""),
        (
            {"uri": "net:h", "token": "env:A", "options": {"token": "auto"}},
            "token is given twice",
            "",
        ),
        ({"uri": "net:h", "options": {"a": [1]}}, "options.a: ", ""),
        ({"uri": "net:h", "options": {"A b": 1}}, "options.A b", ""),
        ({"uri": "net:h", "options": 3}, "options: ", ""),
        ({"uri": "net://u:pw@h/t"}, "a user or a password is in it", "auth = "),
        ({"uri": "net:https://u:pw@h/t"}, "a user or a password is in it", "auth = "),
        ({"uri": "net://h/t?password=x"}, "a password or a token is in its query", "auth = "),
    ],
)
def test_a_wrong_sink_is_refused_with_its_number(net, table, what, hint):
    with pytest.raises(UsageError) as caught:
        sink_uri(table, "app.toml", 3)
    assert what in caught.value.what
    assert hint in caught.value.hint
