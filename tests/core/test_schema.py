"""Files that cross a boundary are read strictly, and every mistake is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from edgeresnet.core.errors import ModelError, ProfileError, UsageError
from edgeresnet.core.schema import Schema, nearest, parse, read_json, read_toml


class Lens(Schema):
    """A schema to try things on."""

    width: int = Field(gt=0)
    focus: float = 1.0
    names: tuple[str, ...] = ()


def test_what_is_right_is_read():
    lens = parse(Lens, {"width": 3, "names": ["a", "b"]}, "lens")
    assert (lens.width, lens.focus, lens.names) == (3, 1.0, ("a", "b"))


def test_values_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        parse(Lens, {"width": 3}, "lens").width = 4


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"widht": 3}, "unknown key 'widht'"),
        ({}, "missing 'width'"),
        ({"width": 0}, "width: Input should be greater than 0, got 0"),
        ({"width": "wide"}, "width: "),
        ({"width": 3.5}, "width: "),
        ({"width": 3, "names": [1]}, "names.0: "),
        ({"width": 3, "focus": float("nan")}, "focus: "),
        ({"width": 3, "focus": float("inf")}, "focus: "),
        ({"width": 3, "names": "x" * 500}, "names: "),
    ],
)
def test_the_first_mistake_is_named_with_its_place(table, says):
    with pytest.raises(ProfileError) as caught:
        parse(Lens, table, "lens wide.toml")
    assert caught.value.what.startswith("lens wide.toml: ")
    assert says in caught.value.what
    assert len(caught.value.what) < 200


def test_an_unknown_key_gets_a_suggestion():
    with pytest.raises(ProfileError, match="unknown key 'focsu'") as caught:
        parse(Lens, {"width": 3, "focsu": 2.0}, "lens")
    assert caught.value.hint == "did you mean 'focus'?"


def test_the_error_is_the_callers_kind():
    with pytest.raises(ModelError):
        parse(Lens, {}, "lens", ModelError)
    with pytest.raises(ModelError):
        read_json("[]", "lens", ModelError)


@given(word=st.text(max_size=12), names=st.lists(st.text(min_size=1, max_size=8), max_size=5))
def test_a_hint_names_what_exists(word, names):
    hint = nearest(word, names)
    assert hint.startswith(("did you mean ", "known: "))
    assert any(name in hint or repr(name) in hint for name in names) or not names


@given(text=st.text(max_size=80))
def test_any_text_is_an_object_or_a_named_error(text):
    try:
        assert isinstance(read_json(text, "file x"), dict)
    except ProfileError as error:
        assert error.what.startswith("file x: ")  # noqa: PT017


@pytest.mark.parametrize("text", ["[1]", "3", "null", "{", "", "[" * 100_000, b"\xff{}"])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(ProfileError, match="file x: "):
        read_json(text, "file x")


def test_toml_is_read(tmp_path):
    file = tmp_path / "lens.toml"
    file.write_text('width = 3\nnames = ["ü"]\n', encoding="utf-8")
    assert read_toml(file, "lens") == {"width": 3, "names": ["ü"]}


@pytest.mark.parametrize(
    "data", [b"width = ", b"\xff\xfe", b"a = 1\na = 2", b"x = " + b"[" * 100_000]
)
def test_damaged_toml_is_refused(tmp_path, data):
    file = tmp_path / "lens.toml"
    file.write_bytes(data)
    with pytest.raises(ProfileError, match="lens: not valid TOML"):
        read_toml(file, "lens")


def test_a_missing_file_and_a_folder_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_toml(tmp_path / "none.toml", "lens")
    with pytest.raises(UsageError, match="cannot read"):
        read_toml(tmp_path, "lens")
