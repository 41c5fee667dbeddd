import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sinks import SCHEMES, SinkUri, open_sink, parse_sink, writes_stdout


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("jsonl:-", SinkUri("jsonl", "-")),
        ("JSONL:out.jsonl", SinkUri("jsonl", "out.jsonl")),
        ("csv:/tmp/a:b.csv", SinkUri("csv", "/tmp/a:b.csv")),
        ("video:out.mp4", SinkUri("video", "out.mp4")),
        ("images:some folder", SinkUri("images", "some folder")),
        ("mqtt://host:1883/a?every=1", SinkUri("mqtt", "//host:1883/a?every=1")),
        ("webhook:https://host/path?x=1", SinkUri("webhook", "https://host/path?x=1")),
    ],
)
def test_a_sink_is_taken_apart(text, uri):
    assert parse_sink(text) == uri


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("josnl:-", "did you mean 'jsonl'?"),
        ("xyz:-", f"known: {', '.join(SCHEMES)}"),
        ("out.jsonl", "did you mean jsonl:out.jsonl?"),
        ("out.csv", "did you mean csv:out.csv?"),
        ("out.mp4", "did you mean video:out.mp4?"),
        ("out", "did you mean jsonl:out?"),
        ("-", "did you mean jsonl:-?"),
        ("out.jpg", "did you mean images:out.jpg?"),
        ("jsonl:", "write jsonl:PLACE"),
    ],
)
def test_a_wrong_sink_is_refused_before_it_is_opened(text, hint):
    with pytest.raises(UsageError) as caught:
        open_sink(text, model="")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jsonl:-", True),
        ("csv:-", True),
        ("jsonl:/dev/stdout", True),
        ("jsonl:out", False),
        ("images:out", False),
        ("jsonl:/dev/stderr", False),
    ],
)
def test_a_sink_tells_whether_it_takes_the_standard_output(text, expected):
    assert writes_stdout(text) is expected


def test_what_may_be_a_secret_is_not_shown():
    assert "geheim" not in repr(parse_sink("jsonl:geheim"))
    with pytest.raises(UsageError) as caught:
        parse_sink("mqt:user:geheim@host")
    assert "geheim" not in str(caught.value)
