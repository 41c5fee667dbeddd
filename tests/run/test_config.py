"""A run configuration: what is in it is what runs, and what is wrong is said before the start."""

import json
import re
import string
import traceback
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import edgeresnet.run.config
from edgeresnet.core.errors import EdgeError, ProfileError, UsageError
from edgeresnet.flow.stream import Policy
from edgeresnet.run.config import App, read_app, unchecked_app

HEAD = 'schema_version = 1\nbundle = "b.bundle"\n'
EXAMPLE = re.sub("(?m)^ {4}", "", edgeresnet.run.config.__doc__.partition("::\n")[2])
EXAMPLE = EXAMPLE.partition("A secret stands")[0]


@pytest.fixture
def write(tmp_path):
    """Puts ``text`` below the two lines that each configuration begins with."""

    def written(text, head=HEAD):
        file = tmp_path / "app.toml"
        file.write_bytes(text if isinstance(text, bytes) else (head + text).encode())
        return file

    return written


def refused(file):
    with pytest.raises(UsageError) as caught:
        read_app(file)
    assert "app.toml" in caught.value.what
    assert caught.value.exit_code == 2
    return caught.value


def test_the_least_is_a_bundle(write, tmp_path):
    assert read_app(write("")) == App(tmp_path / "b.bundle", (), (), Policy())


def test_all_that_is_asked_for_is_there(write, tmp_path, monkeypatch):
    monkeypatch.setenv("CAM", "admin:geheim")
    app = read_app(
        write("""
[run]
top = 3
threshold = 0.25
class_thresholds = { "fire engine" = 0.5, cat = 0 }
track = true
max_age_ms = 500
fps = 12.5

[[source]]
name = "door"
uri = "rtsp://10.0.0.5/stream1?channel=1"
auth = "env:CAM"
roi = [0.25, 0.0, 0.5, 1.0]
stall_s = 5

[[source]]
uri = "clip.mp4"

[[sink]]
uri = "jsonl:-"
""")
    )
    assert app.bundle == tmp_path / "b.bundle"
    assert app.policy == Policy(
        top=3,
        threshold=0.25,
        class_thresholds={"fire engine": 0.5, "cat": 0},
        track=True,
        max_age_ms=500,
        fps=12.5,
    )
    url = "rtsp://10.0.0.5/stream1?channel=1&as=door&roi=0.25,0.0,0.5,1.0&auth=env:CAM&stall=5"
    assert app.sources == (url, "clip.mp4")
    assert app.sinks == ("jsonl:-",)
    assert "geheim" not in repr(app)


def test_a_bundle_elsewhere_stays_elsewhere(write):
    assert read_app(write("", HEAD.replace("b.b", "/srv/b.b"))).bundle == Path("/srv/b.bundle")


def test_reading_starts_nothing(write):
    before = psutil.Process().children()
    app = read_app(write('[[source]]\nuri = "synthetic://?fps=5"\n[[source]]\nuri = "0"'))
    assert len(app.sources) == 2
    assert psutil.Process().children() == before


def test_the_example_in_the_docstring_is_taken(write):
    app, secrets = unchecked_app(write(EXAMPLE.encode()))
    assert app.policy == Policy(
        top=5, threshold=0.2, class_thresholds={"tabby": 0.5}, max_age_ms=500, fps=15
    )
    assert len(app.sources) == 2
    assert app.sinks == (
        "mqtts://broker.local/plant/door?auth=file:/etc/edgeresnet/mqtt&every=5&spool_mb=64",
        "web:0.0.0.0:8080?token=env:WEB_TOKEN",
    )
    assert secrets == ("credential:door", "env:WEB_TOKEN", "file:/etc/edgeresnet/mqtt")


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("[run]\ntpo = 3", "[run]: unknown key 'tpo'", "did you mean 'top'?"),
        ("[run]\nbundle = 'b'", "[run]: unknown key 'bundle'", "known: top"),
        ("[run]\nforce = true", "[run]: unknown key 'force'", ""),
        ('[run]\ntop = "3"', "[run]: top: Input should be a valid integer", ""),
        ("[run]\ntop = 0", "[run]: top: ", ""),
        ("[run]\nthreshold = 1.5", "[run]: threshold: ", ""),
        ("[run]\nclass_thresholds = { cat = 2 }", "[run]: class_thresholds.cat: ", ""),
        ("[run]\nclass_thresholds = 0.5", "[run]: class_thresholds: ", ""),
        ("[run]\ntrack = 'all'", "[run]: track: ", ""),
        ("[run]\nfps = nan", "[run]: fps: ", ""),
        ("run = 3", "run: ", ""),
        ("[[sources]]\nuri = '0'", "unknown key 'sources'", "did you mean 'source'?"),
        ("[source]\nuri = '0'", "[source] is a single table", "write [[source]]"),
        ("[[source]]\nuri = '0'\nroi = [0, 0", "not valid TOML", ""),
        ("a = 1\na = 2\n", "(at line 4, column 6)", ""),
        ("[run]\n[run]\n", "(at line 4, column 5)", ""),
        (f"a = {'[' * 5000}", "not valid TOML", ""),
        (f"a = {'9' * 5000}", "not valid TOML", ""),
        ("a." * 60_000 + "a = 1", "a key of more than 20 parts", ""),
        ("x = {" + '"a" . ' * 10_000 + "a = 1}", "a key of more than 20 parts", ""),
        ("#" * 10_000_000, "larger than 256 kB", ""),
        ("[[source]]\nuri = '0'\n" * 65, "source: List should have at most 64 items", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_place(write, text, what, hint):
    error = refused(write(text))
    assert what in error.what
    assert hint in error.hint
    assert len(error.what) < 250


@pytest.mark.parametrize(
    ("version", "what"),
    [
        ("schema_version = 2", "schema_version 2 is newer than 1"),
        ("schema_version = 0", "schema_version is missing or unknown"),
        ('schema_version = "1"', "schema_version is missing or unknown"),
        ("schema_version = true", "schema_version is missing or unknown"),
        ("", "schema_version is missing or unknown"),
    ],
)
def test_another_version_is_refused_by_name_before_what_is_new_in_it(write, version, what):
    assert what in refused(write(f'{version}\nbundle = "b"\n[cameras]\n', head="")).what


def test_a_file_that_is_none_is_refused(tmp_path, write):
    assert "no such file" in refused(tmp_path / "app.toml").what
    assert "is empty" in refused(write(b"")).what
    assert "not valid TOML" in refused(write(b"\xff\xfe")).what
    (tmp_path / "sub" / "app.toml").mkdir(parents=True)
    assert "is a folder" in refused(tmp_path / "sub" / "app.toml").what


def test_a_secret_that_is_not_there_is_missed_before_the_start(write, monkeypatch, tmp_path):
    monkeypatch.delenv("CAM", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    start = '[[source]]\nuri = "0"\n[[source]]\nuri = "rtsp://h/"\nname = "door"\nauth = '
    for reference, what in (
        ("env:CAM", "the environment has no CAM"),
        ("credential:cam", "systemd's LoadCredential"),
        (f"file:{tmp_path}/none", "No such file"),
    ):
        error = refused(write(f'{start}"{reference}"'))
        assert "[[source]] 2 (door): auth: " in error.what
        assert what in error.what
        assert unchecked_app(write(f'{start}"{reference}"'))[1] == (reference,)


def test_an_option_that_the_source_refuses_is_refused_here(write):
    error = refused(write('[[source]]\nuri = "camera://0?widht=3"'))
    assert "[[source]] 1: source camera://: unknown key 'widht'" in error.what
    assert error.hint == "did you mean 'width'?"


def test_names_are_unique(write):
    same = '[[source]]\nuri = "0"\nname = "a"\n[[source]]\nuri = "1?as=a"\n'
    assert "[[source]] 2: name: [[source]] 1 has the same" in refused(write(same)).what


texts = st.text(string.ascii_letters + string.digits + "!$%&'()*+,-.;<=>[]^_`{|}~üß \"\\:?#/@")
secrets = texts.map(lambda text: f"Zq{text}9W")


def places(secret):
    """Tables with the secret where somebody may put it, right or wrong."""
    user, plain = quote(secret, safe=""), json.dumps(secret)
    values = st.sampled_from(
        [
            plain,
            f"[{plain}]",
            f"{{ a = {plain} }}",
            json.dumps(f"rtsp://admin:{user}@cam/x"),
            json.dumps(f"rtsp://{user}@cam/x"),
            json.dumps(f"http://cam/x?pwd={user}"),
            json.dumps(f"rstp://admin:{user}@cam/x"),
            json.dumps(f"rtsp:/admin:{user}@cam/x"),
            json.dumps(f"gst://nv-rtsp-h264?url=rtsp%3A%2F%2Fa%3A{quote(user)}%40cam"),
            json.dumps(f"mqtt://admin:{user}@broker/topic"),
            json.dumps(f"jsonl:x?auth={user}"),
            json.dumps(f"env:{user}x")[:-1],
            secret,
            "0",
            '"rtsp://cam/x"',
            '"synthetic://"',
        ]
    )
    keys = st.sampled_from(["uri", "auth", "token", "password", "options", "options.user", "fps"])
    tables = st.sampled_from(["[[source]]", "[[sink]]", "[source]", "[run]", ""])
    return st.lists(st.tuples(tables, st.lists(st.tuples(keys, values), max_size=3)), max_size=3)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None
)
@given(st.data(), secrets)
def test_no_error_shows_a_secret(write, data, secret):
    lines = [
        line
        for table, pairs in data.draw(places(secret))
        for line in (table, *(f"{key} = {value}" for key, value in pairs))
        if line != f"uri = {json.dumps(secret)}"  # a file of that name
    ]
    try:
        read_app(write("\n".join(lines)))
    except EdgeError as error:
        told = "".join(traceback.format_exception(error)) + error.hint  # as with --debug
        assert isinstance(error, UsageError)  # noqa: PT017
        for spelling in (secret, quote(secret, safe=""), secret[:8], repr(secret)[1:-1]):
            assert len(spelling) < 5 or spelling not in told


@given(st.text(max_size=200))
@example('[[source]]\nuri = "camera://0?"\nname = "a"')
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_a_configuration_or_a_named_error(write, text):
    file = write((HEAD + text).encode("utf-8", "surrogatepass"))
    try:
        read_app(file)
    except ProfileError as error:
        assert error.what.startswith(str(file))  # noqa: PT017
