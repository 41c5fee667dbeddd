from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core import secrets
from edgeresnet.core.errors import UsageError
from edgeresnet.core.secrets import HIDDEN, Secret, redact, secret_from

printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=40)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What one test calls a secret is none in the next."""
    monkeypatch.setattr(secrets, "_known", set())


@given(value=printable, before=st.text(max_size=5), after=st.text(max_size=5))
def test_a_known_secret_is_in_no_text_raw_or_encoded(value, before, after):
    secret = Secret(value)
    assert secret.reveal() == value
    assert value not in f"{secret!r}{secret}"
    for form in (value, quote(value), quote(value, safe="")):
        shown = redact(f"{before}{form}{after}")
        assert form not in shown or form in HIDDEN + before + after


@given(user=printable, password=printable)
def test_user_and_password_of_a_url_are_hidden_though_nobody_said_so(user, password):
    url = f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@cam.local/stream"
    assert redact(f"cannot open {url} now") == f"cannot open rtsp://{HIDDEN}@cam.local/stream now"


@pytest.mark.parametrize(
    "text",
    [
        "http://cam/v?pwd=geheim&x=1",
        "http://cam/v?x=1&token=geheim",
        "http://:geheim@cam/v",
        "http://geheim@cam/v",
        "rtsp://cam.user:gehe%40im@cam",
        "http://cam/v?api_key=geheim",
        "http://cam/v?sig=geheim",
    ],
)
def test_what_looks_like_a_secret_in_a_url_is_hidden(text):
    assert "gehe" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "web:0.0.0.0:80?token=env:NAME or ?token=file:PATH or ?token=auto",
        "rtsp://cam/x?auth=credential:door&keyframes=3",
    ],
)
def test_a_reference_to_a_secret_may_be_shown(text):
    assert redact(text) == text


@pytest.mark.parametrize("text", ["a@b.c", "10 frames/s", "http://cam:81/v?fps=5", "x://y/z@w"])
def test_other_text_stays_as_it_is(text):
    assert redact(text) == text


def test_a_secret_comes_from_the_environment_a_file_or_systemd(tmp_path, monkeypatch):
    monkeypatch.setenv("CAM", "me:pass word")
    assert secret_from("env:CAM", "x").reveal() == "me:pass word"
    (tmp_path / "cam").write_text("me:line\n")
    assert secret_from(f"file:{tmp_path}/cam", "x").reveal() == "me:line"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert secret_from("credential:cam", "x").reveal() == "me:line"
    with pytest.raises(UsageError, match="cannot read"):
        secret_from("credential:../../etc/passwd", "x")


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        ("env:NOT_THERE_AT_ALL", "no NOT_THERE_AT_ALL"),
        ("file:/nowhere/at/all", "cannot read"),
        ("credential:x", "LoadCredential"),
        ("me:geheim", "by reference"),
        ("geheim", "by reference"),
        ("env:", "by reference"),
    ],
)
def test_a_secret_that_is_not_there_is_named_and_one_given_as_it_is_refused(
    reference, what, monkeypatch
):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(UsageError, match=what) as caught:
        secret_from(reference, "source door: auth")
    assert "source door: auth" in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_secret_is_refused(tmp_path, content):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(UsageError):
        secret_from(f"file:{tmp_path}/s", "x")
