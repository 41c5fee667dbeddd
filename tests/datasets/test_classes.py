"""Folders are matched to classes by what they are called, and never by an unsaid guess."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.errors import UsageError
from edgeresnet.core.labels import Labels, numbered
from edgeresnet.datasets.classes import plain_name, unique_names, with_classes
from edgeresnet.datasets.pictures import Entry, Listing

PETS = Labels(("cat", "German shepherd", "goldfish"), ("n02121808", "n02106662", "n01443537"))


def folders(*names):
    entries = tuple(Entry(Path("val", name, "p.jpg"), name) for name in names)
    return Listing(Path("val"), entries)


def rows(*indices):
    entries = tuple(Entry(Path(f"{i}.jpg"), class_index=c) for i, c in enumerate(indices))
    return Listing(Path("labels.csv"), entries)


def ids(labelled):
    return [item.class_id for item in labelled.entries]


def test_names_match_whatever_their_case_and_punctuation():
    found = with_classes(folders("goldfish", "german_shepherd", "CAT"), PETS)
    assert ids(found) == [2, 1, 0]
    assert found.mapping == "names"


def test_wordnet_ids_match_when_the_network_knows_them():
    found = with_classes(folders("n01443537", "n02121808"), PETS)
    assert ids(found) == [2, 0]
    assert found.mapping == "WordNet ids"


def test_every_picture_gets_the_class_of_its_folder():
    listing = folders("cat", "goldfish", "cat", "cat")
    found = with_classes(listing, PETS)
    assert ids(found) == [0, 2, 0, 0]
    assert [item.entry for item in found.entries] == list(listing.entries)


def test_a_part_of_the_classes_is_enough():
    assert ids(with_classes(folders("goldfish"), PETS)) == [2]


def test_sorted_order_is_taken_only_for_as_many_folders_none_of_which_fits_and_is_said():
    found = with_classes(folders("zebra", "ant", "bee"), PETS)
    assert ids(found) == [2, 0, 1]
    assert "SORTED ORDER" in found.mapping
    assert ids(with_classes(folders("n1", "n0"), numbered(2))) == [1, 0]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("zebra", "ant"), id="too few"),
        pytest.param(("zebra", "ant", "bee", "cow"), id="too many"),
        pytest.param(("cat", "ant", "bee"), id="one name fits"),
        pytest.param(("n02121808", "ant", "bee"), id="one WordNet id fits"),
        pytest.param(("cat", "n02106662", "goldfish"), id="names and ids mixed"),
    ],
)
def test_anything_else_is_an_error_that_names_a_stray_folder_and_the_option(names):
    with pytest.raises(UsageError, match="is no class of this network") as caught:
        with_classes(folders(*names), PETS)
    assert "--class-map" in caught.value.hint
    assert any(repr(name) in caught.value.what for name in names)


def test_the_folder_that_does_not_fit_is_named_with_a_suggestion():
    with pytest.raises(
        UsageError, match=r"folder 'godlfish' is .* \(2 of 3 folders fit\)"
    ) as caught:
        with_classes(folders("cat", "german shepherd", "godlfish"), PETS)
    assert "did you mean 'goldfish'?" in caught.value.hint


def test_a_name_of_two_classes_decides_nothing():
    """ImageNet has two cranes: the bird and the machine."""
    labels = Labels(("crane", "cat", "crane"))
    with pytest.raises(UsageError, match="folder 'crane' means 2 classes"):
        with_classes(folders("crane", "cat"), labels)
    assert unique_names(labels) == {"cat": 1}


def test_a_picture_in_no_folder_is_named():
    listing = Listing(Path("val"), (Entry(Path("val/a.jpg"), "cat"), Entry(Path("val/b.jpg"))))
    with pytest.raises(UsageError, match=r"b\.jpg lies in no class folder"):
        with_classes(listing, PETS)


def test_the_index_column_is_the_class():
    found = with_classes(rows(2, 0, 2), PETS)
    assert ids(found) == [2, 0, 2]
    assert found.mapping == "class_index column"


def test_an_index_that_the_network_does_not_have_is_refused():
    with pytest.raises(UsageError, match=r"class_index 3 of 1\.jpg.* 3 classes \(0 to 2\)"):
        with_classes(rows(0, 3), PETS)


def test_a_row_without_its_index_is_named():
    with pytest.raises(UsageError, match=r"1\.jpg has no class_index"):
        with_classes(rows(0, None), PETS)


def written(folder, data, name="map.csv"):
    file = folder / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("map.csv", "a,0\nb,goldfish\n"),
        ("map.csv", "folder,class\r\n a , 0 \r\n\r\nb,2\r\nunused,1\r\n"),
        ("map.csv", '\ufeff"a","cat"\n"b","Goldfish"\n'),
        ("map.txt", "a,cat\nb,2"),
        ("map.json", '{"a": 0, "b": "goldfish", "unused": 1}'),
        ("map.json", '{"a": "0", "b": 2}'),
    ],
)
def test_a_class_map_goes_before_everything(tmp_path, name, data):
    file = written(tmp_path, data, name)
    found = with_classes(folders("b", "a"), PETS, file)
    assert ids(found) == [2, 0]
    assert found.mapping == f"class map {name}"


def test_a_class_map_may_turn_names_round(tmp_path):
    file = written(tmp_path, "cat,goldfish\ngoldfish,cat\n")
    assert ids(with_classes(folders("cat", "goldfish"), PETS, file)) == [2, 0]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("map.csv", "a,0\n", "says nothing about folder 'b'"),
        ("map.csv", "a,0\nb,3\n", "'b' is '3', which is no class"),
        ("map.csv", "a,0\nb,golfish\n", "'b' is 'golfish', which is no class"),
        ("map.csv", "a,0\nb,-1\n", "'b' is '-1', which is no class"),
        ("map.csv", "a;0\nb;1\n", "no table of folders"),
        ("map.csv", b"a,\xff\xfe", "no table of folders"),
        ("map.json", "[1, 2]", "no table of folders"),
        ("map.json", "{", "no table of folders"),
        ("map.json", '{"a": 0, "b": 1.5}', "'b' is '1.5', which is no class"),
        ("map.csv", "", "is empty"),
    ],
)
def test_a_mistake_in_a_class_map_is_named(tmp_path, name, data, says):
    file = written(tmp_path, data, name)
    with pytest.raises(UsageError) as caught:
        with_classes(folders("a", "b"), PETS, file)
    assert says in caught.value.what
    assert caught.value.what.startswith("--class-map: ")
    assert name in caught.value.what


def test_a_class_map_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--class-map: no such file"):
        with_classes(folders("a"), PETS, tmp_path / "none.csv")


names = st.lists(
    st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=8, unique=True
).map(tuple)


@given(names=names, data=st.data())
def test_names_that_fit_give_their_own_class_in_any_order(names, data):
    shown = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    dressed = [name.upper().replace("A", "a") + "__" for name in shown]
    found = with_classes(folders(*dressed), Labels(names))
    assert [names[i] for i in ids(found)] == shown
    assert found.mapping == "names"


@given(names=names)
def test_a_map_written_from_the_names_is_the_identity(names, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "identity.json"
    file.write_text(json.dumps({name: i for i, name in enumerate(names)}))
    assert ids(with_classes(folders(*names), Labels(names), file)) == list(range(len(names)))


def test_names_in_any_script_are_told_apart():
    labels = Labels(("猫", "犬", "Straße", "-"))
    assert ids(with_classes(folders("犬", "猫", "STRASSE", "-"), labels)) == [1, 0, 2, 3]
    with pytest.raises(UsageError, match="folder '鳥' is no class"):
        with_classes(folders("鳥", "猫"), labels)
    with pytest.raises(UsageError, match="'\\+' is no class"):
        with_classes(folders("+", "猫"), labels)


@given(name=st.text(max_size=20))
def test_a_plain_name_is_its_own_plain_name(name):
    assert plain_name(plain_name(name)) == plain_name(name)
