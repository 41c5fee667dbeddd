import logging
import socket

import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sinks import open_sink
from edgeresnet.sinks.web.place import Place, listen, parse_place

LONG = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("8080", Place("127.0.0.1", 8080)),
        ("127.0.0.1:0", Place("127.0.0.1", 0)),
        ("localhost:81", Place("127.0.0.1", 81)),
        ("[::1]:8080", Place("::1", 8080)),
        (
            "80?host=Cam.Local,192.168.1.5,[fe80::A]",
            Place("127.0.0.1", 80, names=frozenset({"cam.local", "192.168.1.5", "fe80::a"})),
        ),
    ],
)
def test_a_place_is_taken_apart(text, place):
    assert parse_place(text) == place


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("eighty", "no place to listen"),
        ("65536", "no place to listen"),
        ("//127.0.0.1:80", "no place to listen"),
        ("::1:8080", "no place to listen"),
        ("cam.local:8080", "not an IP address"),
        ("8080?tokn=auto", "no option named 'tokn'"),
        ("8080?token=auto&token=auto", "each once"),
        ("8080?host=", "each once"),
        ("8080?host=evil/..", "no host name"),
    ],
)
def test_a_wrong_place_is_refused_by_name(text, what):
    with pytest.raises(UsageError, match=what):
        parse_place(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.7.7"])
def test_other_machines_may_look_only_with_a_token(host):
    with pytest.raises(UsageError, match="takes a token") as caught:
        parse_place(f"{host}:8080")
    assert "token=auto" in caught.value.hint
    assert caught.value.exit_code == 2
    assert parse_place(f"{host}:8080?token=auto").made


def test_a_token_is_read_by_reference_and_never_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("WEB_TOKEN", LONG)
    (tmp_path / "token").write_text(f"{LONG}\n")
    for reference in ("env:WEB_TOKEN", f"file:{tmp_path}/token"):
        place = parse_place(f"8080?token={reference}")
        assert place.token.reveal() == LONG
        assert LONG not in repr(place)


@pytest.mark.parametrize("text", ["8080?token=geheim", "8080?geheim", "8080?token=env:SHORT"])
def test_what_may_be_a_secret_is_not_repeated(text, monkeypatch):
    monkeypatch.setenv("SHORT", "geheim")
    with pytest.raises(UsageError) as caught:
        parse_place(text)
    assert "geheim" not in str(caught.value)


def test_made_tokens_are_long_and_each_another():
    tokens = {parse_place("8080?token=auto").token.reveal() for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 22  # 128 bits in base 64


def test_a_made_token_is_told_once_and_not_to_the_log(capsys, caplog, serve):
    served = serve("127.0.0.1:0?token=auto")
    told = capsys.readouterr().err
    url = next(word for word in told.split() if word.startswith("http"))
    token = url.partition("?token=")[2]
    assert url.startswith(f"http://127.0.0.1:{served.port}/")
    assert served.get(f"/api/status?token={token}").status == 200
    assert token not in caplog.text


def test_where_the_page_is_stands_in_the_log(caplog, serve):
    with caplog.at_level(logging.WARNING, "edgeresnet"):
        served = serve()
    assert f"http://127.0.0.1:{served.port}/" in caplog.text


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"port {port} is in use"),
            open_sink(f"web:{port}", model="m"),
        ):
            pass


def test_an_address_of_another_machine_is_named():
    with pytest.raises(UsageError, match=r"192\.0\.2\.7 is not an address of this machine"):
        listen(Place("192.0.2.7", 0))


def test_a_port_can_be_taken_again_at_once(serve):
    served = serve()
    assert served.get("/livez").status == 200
    served.sink.close()
    assert serve(str(served.port)).port == served.port


def test_a_page_for_all_machines_is_told_by_a_name_that_others_can_use():
    place = parse_place("0.0.0.0:8080?token=auto&host=cam.local")
    assert place.url(8080) == "http://cam.local:8080/"
    assert "0.0.0.0" not in parse_place("0.0.0.0:8080?token=auto").url(8080)
