"""The pictures that a folder or a CSV file names are found, chosen and read."""

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.errors import UsageError
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.datasets.pictures import (
    Entry,
    Unreadable,
    choose,
    digest,
    fitted,
    list_pictures,
)
from edgeresnet.testing import grey

SMALL = Preprocess(size=(8, 8), resize=8)


def picture(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), grey(value, (10, 12)))
    return path


@pytest.fixture
def folder(tmp_path):
    """Two class folders, a picture deeper down, and what is no picture."""
    origin = tmp_path / "val"
    for name in ("cat/b.png", "cat/a.JPG", "dog/deep/er/c.webp", "dog/.hidden.png"):
        picture(origin / name)
    (origin / "cat/notes.txt").write_text("no picture")
    (origin / "cat/folder.png").mkdir()
    return origin


def listed(listing):
    return [e.path.relative_to(listing.origin).as_posix() for e in listing.entries]


def csv_file(folder, text, name="labels.csv"):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_folder_gives_its_pictures_sorted_with_their_class_folder(folder):
    listing = list_pictures(folder, "--images")
    assert listed(listing) == ["cat/a.JPG", "cat/b.png", "dog/deep/er/c.webp"]
    assert [e.folder for e in listing.entries] == ["cat", "cat", "dog"]
    assert listing.has_classes


def test_a_loose_picture_has_no_class(folder):
    picture(folder / "loose.png")
    listing = list_pictures(folder, "--images")
    assert [e.folder for e in listing.entries] == ["cat", "cat", "dog", ""]
    assert not listing.has_classes


def test_a_csv_names_files_beside_it_or_below_images(folder):
    picture(folder / "images/far.png")
    text = "class_index,note,file\n3,x,images/far.png\n0,,far.png\n 7 ,,cat/b.png\n"
    listing = list_pictures(csv_file(folder, text), "--images")
    assert [e.path.name for e in listing.entries] == ["far.png", "far.png", "b.png"]
    assert [e.class_index for e in listing.entries] == [3, 0, 7]
    assert listing.has_classes


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffile,class_index\ncat/b.png,1\n",
        'file,class_index\r\n"cat/b.png",1\r\n',
        "file;class_index\ncat/b.png;1\n",
        "file\tclass_index\ncat/b.png\t1\n",
        " file , class_index \n cat/b.png , 1 \n",
        "file,class_index\n\ncat/b.png,1\n\n",
    ],
)
def test_csv_as_spreadsheets_and_people_write_it(folder, text):
    listing = list_pictures(csv_file(folder, text), "--images")
    assert [(e.path.name, e.class_index) for e in listing.entries] == [("b.png", 1)]


def test_a_csv_without_classes_gives_pictures_without_classes(folder):
    listing = list_pictures(csv_file(folder, "file\ncat/b.png\n"), "--images")
    assert [e.class_index for e in listing.entries] == [None]
    assert not listing.has_classes
    assert not list_pictures(
        csv_file(folder, "file,class_index\ncat/b.png,\n"), "--images"
    ).has_classes


def test_a_csv_may_name_files_by_their_full_path(folder, tmp_path):
    text = f"file,class_index\n{folder / 'cat/b.png'},1\n"
    listing = list_pictures(csv_file(tmp_path, text), "--images")
    assert listing.entries[0].path == folder / "cat/b.png"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,class\na,b\n", "no column 'file'"),
        ("cat/b.png,1\n", "no column 'file'"),
        ("", "is empty"),
        ("file,class_index\n", "no pictures"),
        ("file,class_index\nnone.png,1\n", "line 2: no such file: 'none.png'"),
        (f"file\n{'x' * 300}\n", "line 2: no such file: 'xxx"),
        ("file,class_index\ncat/b.png,1\n,2\n", "line 3: no such file: ''"),
        ("file,class_index\ncat/b.png,one\n", "line 2: class_index 'one'"),
        ("file,class_index\ncat/b.png,-1\n", "line 2: class_index '-1'"),
        ("file,class_index\ncat/b.png,1.5\n", "line 2: class_index '1.5'"),
        ("file,class_index\ncat/b.png,²\n", "line 2: class_index '²'"),
        ("file,class_index\ncat,1\n", "line 2: no such file: 'cat'"),
        ("class_index,file\n1\n", "line 2: no such file: ''"),
    ],
)
def test_a_mistake_in_a_csv_is_named_with_its_line(folder, text, says):
    with pytest.raises(UsageError) as caught:
        list_pictures(csv_file(folder, text), "--eval")
    assert says in caught.value.what
    assert caught.value.what.startswith("--eval: ")
    assert "labels.csv" in caught.value.what


def test_lines_are_counted_in_the_file_also_after_empty_ones(folder):
    text = "file,class_index\n\n\ncat/b.png,x\n"
    with pytest.raises(UsageError, match="line 4: class_index 'x'"):
        list_pictures(csv_file(folder, text), "--images")


def test_what_is_no_csv_text_is_refused(folder):
    file = folder / "labels.csv"
    file.write_bytes(b"file\n\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a CSV text file"):
        list_pictures(file, "--images")


def test_what_is_neither_folder_nor_csv_is_refused(folder, tmp_path):
    for path, says in (
        (tmp_path / "none", "no such folder or CSV file"),
        (tmp_path / "none.csv", "no such file"),
        (folder / "cat/b.png", "neither a folder nor a CSV file"),
        (tmp_path / ("n" * 300), "cannot read"),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            list_pictures(path, "--images")
        assert caught.value.what.startswith("--images: ")


def test_an_empty_folder_says_what_a_picture_is(tmp_path):
    with pytest.raises(UsageError, match="no pictures in") as caught:
        list_pictures(tmp_path, "--images")
    assert ".jpg" in caught.value.hint


def test_a_folder_that_loops_into_itself_ends(folder):
    (folder / "cat/again").symlink_to(folder)
    assert len(list_pictures(folder, "--images").entries) == 3


def test_the_digest_is_of_the_content_not_the_name(tmp_path):
    one, copy = picture(tmp_path / "a.png", 1), picture(tmp_path / "b.png", 1)
    other = picture(tmp_path / "c.png", 2)
    assert digest(one) == digest(copy) != digest(other)


entries = st.lists(st.sampled_from("abcd"), max_size=40).map(
    lambda folders: [Entry(f"{i}.png", folder) for i, folder in enumerate(folders)]
)


@given(items=entries, count=st.integers(0, 50), seed=st.integers(0, 9))
def test_the_choice_is_seeded_without_repetition_and_balanced(items, count, seed):
    chosen = choose(items, count, seed)
    assert chosen == choose(items, count, seed)
    assert len(chosen) == len(set(chosen)) == min(count, len(items))
    assert set(chosen) <= set(items)
    have, taken = Counter(e.folder for e in items), Counter(e.folder for e in chosen)
    for folder in have:  # nobody gets less while another gets two more
        if taken[folder] < have[folder]:
            assert max(taken.values(), default=0) <= taken[folder] + 1


@given(items=entries, count=st.integers(0, 50))
def test_more_pictures_contain_the_fewer(items, count):
    assert set(choose(items, count, 1)) <= set(choose(items, count + 5, 1))


def test_another_seed_is_another_choice():
    items = [Entry(f"{i}.png") for i in range(200)]
    choices = {tuple(choose(items, 20, seed)) for seed in range(8)}
    assert len(choices) == 8


def test_classes_of_a_csv_are_balanced_too():
    items = [Entry(f"{i}.png", class_index=int(i > 90)) for i in range(100)]
    assert Counter(e.class_index for e in choose(items, 10, 0)) == {0: 5, 1: 5}


def test_unreadable_pictures_are_named_counted_and_left_out(tmp_path):
    good = [Entry(picture(tmp_path / f"{i}.png", i)) for i in (5, 200)]
    broken = Entry(tmp_path / "broken.jpg")
    broken.path.write_bytes(b"<html>")
    missing = Entry(tmp_path / "missing.png")
    unreadable = Unreadable({})
    found = list(fitted([good[0], broken, missing, good[1]], SMALL, unreadable))
    assert [entry for entry, _ in found] == good
    assert [int(pixels.mean()) for _, pixels in found] == [5, 200]
    assert all(pixels.shape == (8, 8, 3) for _, pixels in found)
    assert "broken.jpg" in unreadable.reasons[broken.path]
    assert set(unreadable.reasons) == {broken.path, missing.path}
    unreadable.raise_if_all(2, "--images")
    with pytest.raises(UsageError, match=r"none of 2 pictures is readable: picture .*broken"):
        unreadable.raise_if_all(0, "--images")


def test_pictures_are_read_one_at_a_time(tmp_path):
    stream = fitted(
        [Entry(tmp_path / "no.png"), Entry(tmp_path / "nope.png")], SMALL, Unreadable({})
    )
    assert next(stream, None) is None
    one = Entry(picture(tmp_path / "one.png", 3))
    entry, pixels = next(fitted([one, Entry(tmp_path / "later.png")], SMALL, Unreadable({})))
    assert entry == one
    assert np.all(pixels == 3)
