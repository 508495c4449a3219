from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from fastcli.data import download, locks
from fastcli.data.archive import MARKER
from fastcli.data.catalog import KNOWN, KnownDataset
from fastcli.data.download import Source, home, resolve_source, untar_data
from fastcli.data.items import image_files
from fastcli.errors import DataError


def packed(files: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return memory.getvalue()


TOY = packed({"toys/cat/1.png": b"one", "toys/dog/2.png": b"two"})


@pytest.fixture(autouse=True)
def home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path / "das Zuhause"))
    return tmp_path / "das Zuhause"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def toys(web: Any, monkeypatch: pytest.MonkeyPatch) -> KnownDataset:
    """A known data set TOYS on the test's server."""
    web.files["toys.tgz"] = TOY
    md5 = hashlib.md5(TOY).hexdigest()
    known = KnownDataset("TOYS", web.url("toys.tgz"), len(TOY), md5, hashlib.sha256(TOY).hexdigest(), "toys", "toys")
    monkeypatch.setitem(KNOWN, "TOYS", known)
    return known


def test_home_is_an_absolute_folder_that_the_environment_moves(
    home_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home() == home_folder
    monkeypatch.setenv("FASTCLI_HOME", "~/elsewhere")
    assert home() == Path("~/elsewhere").expanduser()
    monkeypatch.delenv("FASTCLI_HOME")
    assert home() == Path("~/.fastcli").expanduser()


def test_the_bundled_sample_needs_no_network_and_is_extracted_once(
    home_folder: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = untar_data("MNIST_SAMPLE")
    assert path == home_folder / "data" / "mnist_sample"
    assert len(image_files(path)) == 12_396 + 2_038
    monkeypatch.setattr(download, "extract_archive", None)
    assert untar_data("mnist_sample") == untar_data(KNOWN["MNIST_SAMPLE"].url) == path


def test_a_known_name_is_downloaded_checked_and_extracted_once(web: Any, toys: KnownDataset, home_folder: Path) -> None:
    path = untar_data("TOYS")
    assert path == home_folder / "data" / "toys"
    assert (path / "cat" / "1.png").read_bytes() == b"one"
    assert json.loads((path / MARKER).read_text())["source"] == toys.url
    assert untar_data("TOYS") == untar_data("toys") == untar_data(toys.url) == path
    assert [name for name, _ in web.requests] == ["toys.tgz"]
    assert (home_folder / "archive" / "toys.tgz").read_bytes() == TOY


def test_force_fetches_and_extracts_anew(web: Any, toys: KnownDataset) -> None:
    path = untar_data("TOYS")
    (path / "cat" / "1.png").write_bytes(b"spoilt")
    untar_data("TOYS", force=True)
    assert (path / "cat" / "1.png").read_bytes() == b"one"
    assert len(web.requests) == 2
    assert [entry.name for entry in path.parent.iterdir()] == ["toys"]


def test_an_archive_put_there_by_hand_is_checked_and_used(
    web: Any, toys: KnownDataset, home_folder: Path, offline: None
) -> None:
    by_hand = home_folder / "archive" / "toys.tgz"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(TOY[:-1])
    with pytest.raises(DataError, match="not the known archive of TOYS") as caught:
        untar_data("TOYS")
    assert "delete it" in (caught.value.hint or "")
    assert by_hand.exists()
    by_hand.write_bytes(TOY)
    assert len(image_files(untar_data("TOYS"))) == 2
    assert web.requests == []


def test_a_wrong_download_leaves_no_data(web: Any, toys: KnownDataset, home_folder: Path) -> None:
    web.files["toys.tgz"] = TOY[:-1] + b"x"
    with pytest.raises(DataError, match=r"cannot download TOYS: .* is not the known file"):
        untar_data("TOYS")
    assert not (home_folder / "data").exists()


def test_offline_says_what_to_do(home_folder: Path, offline: None) -> None:
    with pytest.raises(DataError) as caught:
        untar_data("PETS")
    assert caught.value.message.startswith("cannot download PETS: no network (")
    hint = caught.value.hint or ""
    assert "data.source=path/to/oxford-iiit-pet.tgz" in hint
    assert KNOWN["PETS"].url in hint
    assert str(home_folder / "archive") in hint


def test_two_at_once_download_once(web: Any, toys: KnownDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    waited, results, try_lock = threading.Event(), list[Path](), locks._try_lock
    monkeypatch.setattr(locks, "_try_lock", lambda descriptor: try_lock(descriptor) or waited.set())
    web.hold = threading.Event()
    both = [threading.Thread(target=lambda: results.append(untar_data("TOYS"))) for _ in range(2)]
    for thread in both:
        thread.start()
    assert waited.wait(30)
    web.hold.set()
    for thread in both:
        thread.join(30)
    assert len(results) == 2
    assert results[0] == results[1]
    assert len(web.requests) == 1


def test_a_folder_that_was_not_completed_here_is_neither_used_nor_touched(
    toys: KnownDataset, home_folder: Path
) -> None:
    mine = home_folder / "data" / "toys" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("keep")
    for force in (False, True):
        with pytest.raises(DataError, match="was not completed by fastcli"):
            untar_data("TOYS", force=force)
    assert mine.read_text() == "keep"


def test_what_a_killed_extraction_left_is_swept_away(toys: KnownDataset, home_folder: Path) -> None:
    left = home_folder / "data" / ".toys.123-abcd.tmp" / "cat"
    left.mkdir(parents=True)
    untar_data("TOYS")
    assert [entry.name for entry in (home_folder / "data").iterdir()] == ["toys"]


def test_two_addresses_with_one_file_name_are_two_data_sets(web: Any) -> None:
    web.files |= {"a/data.tgz": TOY, "b/data.tgz": packed({"3.png": b"3", "4.png": b"4"})}
    a, b = untar_data(web.url("a/data.tgz?token=secret")), untar_data(web.url("b/data.tgz"))
    assert a.name.startswith("data-")
    assert a != b
    assert len(image_files(a)) == len(image_files(b)) == 2
    assert "secret" not in (a / MARKER).read_text()


def test_an_address_may_hide_what_it_serves(web: Any) -> None:
    web.files["download"] = TOY
    assert len(image_files(untar_data(web.url("download?id=7")))) == 2


def test_a_broken_archive_from_an_address_says_which_file_to_delete(web: Any, home_folder: Path) -> None:
    web.files["data.tgz"] = TOY[:-20]
    with pytest.raises(DataError) as caught:
        untar_data(web.url("data.tgz"))
    (archive,) = (home_folder / "archive").iterdir()
    assert caught.value.hint == f"delete {archive} to download it anew"


@pytest.mark.parametrize("address", ["ftp://host/a.tgz", "s3://bucket/a.tgz", "file:///a.tgz"])
def test_other_schemes_are_refused(address: str) -> None:
    with pytest.raises(DataError, match="not supported"):
        untar_data(address)


def test_a_local_archive_is_extracted_elsewhere_and_again_when_it_changes(tmp_path: Path, home_folder: Path) -> None:
    archive = tmp_path / "read only" / "meine Daten.tgz"
    archive.parent.mkdir()
    archive.write_bytes(TOY)
    archive.parent.chmod(0o555)
    first = untar_data(archive)
    assert first.parent == home_folder / "data" / "local"
    assert first.name.startswith("meine Daten-")
    assert untar_data(str(archive)) == first
    archive.write_bytes(packed({"5.png": b"5"}))
    os.utime(archive, ns=(1, 1))
    second = untar_data(archive)
    assert [path.name for path in image_files(second)] == ["5.png"]
    assert [path.name for path in archive.parent.iterdir()] == ["meine Daten.tgz"]
    archive.parent.chmod(0o755)


def test_a_folder_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    assert untar_data(tmp_path / "pets") == tmp_path / "pets"
    assert untar_data("pets") == tmp_path / "pets"  # before PETS in other case
    assert resolve_source("pets") == Source(tmp_path / "pets", "folder")


def test_a_csv_is_a_source(tmp_path: Path) -> None:
    table = tmp_path / "labels.TSV"
    table.write_text("path\tlabel\n")
    assert resolve_source(str(table)) == Source(table, "csv")
    with pytest.raises(DataError, match="no data at") as caught:
        resolve_source(tmp_path / "label.tsv")
    assert caught.value.hint == "did you mean 'labels.TSV'?"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("PTES", "did you mean 'PETS'?"),
        ("imagenete_160", "did you mean 'IMAGENETTE_160'?"),
        ("some/where/else", "the folder some/where does not exist"),
        ("xyzzy", "give a folder, an archive, a CSV, a URL or one of"),
        ("", "give a folder"),
        ("~nobody-here/xyzzy", "does not exist"),
    ],
)
def test_what_is_not_there_gets_the_nearest_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no data at") as caught:
        resolve_source(source)
    assert hint in (caught.value.hint or "")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with pytest.raises(DataError, match=r"a\.rar is neither a folder nor one of \.tgz"):
        resolve_source(tmp_path / "a.rar")


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot keep data in") as caught:
        untar_data("MNIST_SAMPLE")
    assert "FASTCLI_HOME" in (caught.value.hint or "")


def test_progress_hears_of_download_and_extraction(toys: KnownDataset) -> None:
    seen: list[tuple[int, int | None]] = []
    untar_data("TOYS", progress=lambda done, total: seen.append((done, total)))
    assert seen.count((len(TOY), len(TOY))) == 2
