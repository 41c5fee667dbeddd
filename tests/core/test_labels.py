"""Class names are read from the files that people have."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.errors import UsageError
from edgeresnet.core.labels import Labels, numbered, read_labels

KERAS = {"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}


def written(folder, text, name="names.txt"):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("cat\r\ndog\r\n\r\n\n", ("cat", "dog")),
        ("\ufeffcat\ndog", ("cat", "dog")),
        ("  great white shark \nBär", ("great white shark", "Bär")),
        ("crane\ncrane", ("crane", "crane")),  # ImageNet has two of them
        ("n1 cat\ndog", ("n1 cat", "dog")),
        ("n01440764 tench\ngoldfish", ("n01440764 tench", "goldfish")),
    ],
)
def test_a_text_file_has_a_name_a_line(tmp_path, text, names):
    assert read_labels(written(tmp_path, text)) == Labels(names)


def test_wordnet_ids_in_front_of_every_name_are_kept_apart(tmp_path):
    text = "n01440764 tench, Tinca tinca\nn01443537\tgoldfish\nn01484850\n"
    found = read_labels(written(tmp_path, text))
    assert found.names == ("tench, Tinca tinca", "goldfish", "n01484850")
    assert found.wordnet == ("n01440764", "n01443537", "n01484850")


@pytest.mark.parametrize(
    ("data", "names", "wordnet"),
    [
        (["cat", "dog"], ("cat", "dog"), ()),
        ({"1": "dog", "0": "cat"}, ("cat", "dog"), ()),
        (KERAS, ("tench", "goldfish"), ("n01440764", "n01443537")),
    ],
)
def test_json_is_a_list_or_keras_index(tmp_path, data, names, wordnet):
    file = written(tmp_path, json.dumps(data), "names.json")
    assert read_labels(file) == Labels(names, wordnet)


@pytest.mark.parametrize(
    "text",
    ['"abc"', "3", "null", "{", '{"1": "dog"}', "[null]", "[1, 2]", '[["a", 1]]', '{"a": "b"}'],
)
def test_json_of_another_form_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match="not a list of names") as caught:
        read_labels(written(tmp_path, text, "names.json"))
    assert "names.json" in caught.value.what


def test_a_hole_in_the_list_is_named_by_its_line(tmp_path):
    with pytest.raises(UsageError, match="line 2 is empty"):
        read_labels(written(tmp_path, "cat\n\ndog\n"))


@pytest.mark.parametrize("text", ["\n\n", "  \n", "\ufeff"])
def test_a_file_without_names_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match="holds no names"):
        read_labels(written(tmp_path, text))
    with pytest.raises(UsageError, match="holds no names"):
        read_labels(written(tmp_path, "[]", "names.json"))


def test_what_is_no_text_file_is_refused(tmp_path):
    file = tmp_path / "names.txt"
    file.write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(UsageError, match="not a text file"):
        read_labels(file)
    with pytest.raises(UsageError, match="--classes: no such file"):
        read_labels(tmp_path / "none.txt")


names = st.lists(st.text(max_size=12), min_size=1, max_size=8)


@given(names=names)
def test_labels_survive_the_metadata(names):
    for labels in (Labels(tuple(names)), Labels(tuple(names), tuple(names))):
        assert Labels.from_json(labels.to_json()) == labels


def test_as_many_wordnet_ids_as_names_are_needed():
    with pytest.raises(ValueError, match="2 names but 1 WordNet ids"):
        Labels(("a", "b"), ("n01440764",))


def test_nameless_classes_are_numbered():
    assert numbered(3).names == ("class 0", "class 1", "class 2")
    assert len(numbered(1000)) == 1000
