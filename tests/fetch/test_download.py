"""A download ends as the whole, right file, or as an error that says what to do."""

import socket

import pytest

from edgeresnet.core.errors import DeviceError, ModelError, UsageError
from edgeresnet.fetch.download import download


def fetch(site, out, **options):
    return download(site.url, out, site.sha256[:8], pause_s=0, **options)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_arrives_whole_and_its_digest_is_told(site, tmp_path):
    told = []
    digest = fetch(site, tmp_path / "w.pth", progress=lambda *step: told.append(step))
    assert (tmp_path / "w.pth").read_bytes() == site.content
    assert digest == site.sha256
    assert files(tmp_path) == ["w.pth"]
    assert told[-1][1] == told[-1][2] == len(site.content) // 2**20


def test_a_connection_that_closes_in_the_middle_is_taken_up_again(site, tmp_path):
    site.closes_after = [1_000_000, 500_000]
    fetch(site, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == site.content
    assert site.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_server_that_goes_on_closing_is_given_up_and_what_came_is_kept(site, tmp_path):
    site.closes_after = [1_000_000] + [0] * 10
    with pytest.raises(DeviceError, match="closed after 1000000 of 3000000 bytes") as caught:
        fetch(site, tmp_path / "w.pth")
    assert "goes on from there" in caught.value.hint
    assert files(tmp_path) == ["w.pth.part"]

    site.closes_after = []
    site.ranges.clear()
    fetch(site, tmp_path / "w.pth")
    assert site.ranges == ["bytes=1000000-"]
    assert (tmp_path / "w.pth").read_bytes() == site.content


def test_a_server_that_does_not_know_ranges_sends_the_file_anew(site, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(site.content[:1234])
    site.ignores_range = True
    fetch(site, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == site.content


def test_a_part_that_was_already_whole_is_used(site, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(site.content)
    fetch(site, tmp_path / "w.pth")
    assert files(tmp_path) == ["w.pth"]


def test_another_digest_is_refused_and_nothing_is_left(site, tmp_path):
    with pytest.raises(ModelError, match="expected 00000000"):
        download(site.url, tmp_path / "w.pth", "00000000")
    assert files(tmp_path) == []


def test_a_part_of_another_file_is_refused_and_the_next_try_starts_anew(site, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(b"not the same file")
    with pytest.raises(ModelError):
        fetch(site, tmp_path / "w.pth")
    fetch(site, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == site.content


def test_a_file_that_stood_there_stays_when_the_download_fails(site, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"older")
    site.closes_after = [10] + [0] * 10
    with pytest.raises(DeviceError):
        fetch(site, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == b"older"


def test_nobody_at_the_other_end_is_told_at_once_with_a_way_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"http://127.0.0.1:{port}/weights.pth"
    with pytest.raises(DeviceError, match=r"cannot reach 127\.0\.0\.1: Connection refused") as told:
        download(url, tmp_path / "w.pth", "00000000", pause_s=60)
    assert url in told.value.hint
    assert files(tmp_path) == []


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refusal_of_the_server_is_passed_on(site, tmp_path, status):
    site.status = status
    with pytest.raises(DeviceError, match=f"the server answers {status}"):
        fetch(site, tmp_path / "w.pth")
    assert files(tmp_path) == []


@pytest.mark.parametrize("url", ["http://example.org/w.pth", "ftp://example.org/w", "file:///w"])
def test_only_https_is_spoken(url, tmp_path):
    with pytest.raises(UsageError, match="refused"):
        download(url, tmp_path / "w.pth", "00000000")


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_site, tmp_path):
    with pytest.raises(DeviceError, match="certificate is not valid here: self-signed") as caught:
        fetch(secure_site, tmp_path / "w.pth")
    assert "SSL_CERT_FILE" in caught.value.hint
    assert files(tmp_path) == []


def test_a_company_can_vouch_for_its_own_certificate(
    secure_site, certificate, tmp_path, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert fetch(secure_site, tmp_path / "w.pth") == secure_site.sha256


@pytest.mark.parametrize("place", ["http://example.org/w.pth", "file:///etc/hostname"])
def test_a_redirect_does_not_lead_away_from_https(site, tmp_path, place):
    site.redirect = place
    with pytest.raises((UsageError, DeviceError)):
        fetch(site, tmp_path / "w.pth")
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_an_error_of_the_disk(site, tmp_path):
    with pytest.raises(DeviceError, match="cannot write"):
        fetch(site, tmp_path / "absent" / "w.pth")
