from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastcli.data.archive import MARKER, extract_archive, is_complete
from fastcli.data.safe_folder import ExtractionLimits, safe_parts
from fastcli.errors import DataError

TREE = {"top/a.txt": b"a" * 1000, "top/deep/ü ö.txt": b"two", "top/empty": b"", "top/deep/block": bytes(512)}


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return path


def make_any(path: Path, files: dict[str, bytes]) -> Path:
    return make_zip(path, files) if path.suffix == ".zip" else make_tar(path, files)


def tar_of(path: Path, *members: tarfile.TarInfo, mode: str = "w:gz", **options: int) -> Path:
    with tarfile.open(path, mode, **options) as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refuses(archive: Path, *words: str, limits: ExtractionLimits | None = None) -> DataError:
    """Extraction raises a DataError with these words and leaves nothing beside the archive."""
    out = archive.parent / "out"
    out.mkdir(exist_ok=True)
    with pytest.raises(DataError) as caught:
        extract_archive(archive, out / "data", **({"limits": limits} if limits else {}))
    assert list(out.iterdir()) == []
    for word in (archive.name, *words):
        assert word in caught.value.message
    return caught.value


@pytest.mark.parametrize("name", ["x.tgz", "x.tar", "x.tar.bz2", "x.tar.xz", "x.zip"])
def test_every_format_gives_the_same_tree_under_a_name_with_spaces(tmp_path: Path, name: str) -> None:
    mode = {".tgz": "w:gz", ".tar": "w", ".bz2": "w:bz2", ".xz": "w:xz"}.get(Path(name).suffix)
    archive = make_tar(tmp_path / name, TREE, mode) if mode else make_zip(tmp_path / name, TREE)
    target = extract_archive(archive, tmp_path / "neu é" / "the data")
    assert content(target) == {path.removeprefix("top/"): data for path, data in TREE.items()}
    assert is_complete(target)
    assert [path.name for path in target.parent.iterdir()] == ["the data"]


def test_the_content_decides_on_the_format_not_the_name(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", {"f": b"1"}).rename(tmp_path / "a.tgz")
    assert content(extract_archive(tmp_path / "a.tgz", tmp_path / "out")) == {"f": b"1"}


def test_a_zip_inside_an_uncompressed_tar_is_a_file_of_it(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", {"f": b"1"}).read_bytes()
    archive = make_tar(tmp_path / "a.tar", {"inner.zip": inner}, "w")
    assert content(extract_archive(archive, tmp_path / "out")) == {"inner.zip": inner}


def test_two_top_folders_are_both_kept_and_leavings_of_a_mac_do_not_count(tmp_path: Path) -> None:
    both = make_tar(tmp_path / "a.tgz", {"cat/1": b"1", "dog/2": b"2"})
    assert content(extract_archive(both, tmp_path / "both")) == {"cat/1": b"1", "dog/2": b"2"}
    mac = make_zip(tmp_path / "m.zip", {"pets/1": b"1", "__MACOSX/pets/._1": b"x", ".DS_Store": b"x"})
    assert content(extract_archive(mac, tmp_path / "mac")) == {"1": b"1"}


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil", "leads out"),
        ("a/../../evil", "leads out"),
        ("/etc/evil", "absolute"),
        ("//host/share/evil", "absolute"),
        ("C:/evil", "absolute"),
        ("c:evil", "absolute"),
        ("a\\..\\..\\evil", "leads out"),
        ("\\evil", "absolute"),
        ("a/" * 70 + "evil", "folders deep"),
    ],
)
def test_no_name_leads_out(tmp_path: Path, suffix: str, name: str, why: str) -> None:
    assert "nothing was extracted" in (
        refuses(make_any(tmp_path / f"bad{suffix}", {"ok": b"1", name: b"2"}), why).hint or ""
    )
    assert not list(tmp_path.rglob("evil*"))


def test_a_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    hidden = member("a")
    hidden.pax_headers = {"path": "a.png\0.exe"}
    refuses(tar_of(tmp_path / "a.tgz", hidden, format=tarfile.PAX_FORMAT), "NUL")
    info = zipfile.ZipInfo("a")
    info.filename = "a.png\0.exe"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(info, b"1")
    refuses(tmp_path / "a.zip", "NUL")


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    refuses(make_tar(tmp_path / "a.tgz", {b"caf\xe9".decode("utf-8", "surrogateescape"): b"1"}), "not UTF-8")


def test_names_that_windows_reads_otherwise_are_refused_there() -> None:
    for name in ("a/con.png", "NUL", "ab:c", "dots..", "space "):
        with pytest.raises(ValueError, match="Windows"):
            safe_parts(name, windows=True)
        assert safe_parts(name, windows=False)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.GNUTYPE_SPARSE, "type"),
        (b"Z", "type"),
    ],
)
def test_only_files_and_folders_come_out_of_a_tar(tmp_path: Path, kind: bytes, why: str) -> None:
    bad = member("link", kind, link="../../target")
    refuses(tar_of(tmp_path / "a.tgz", member("ok"), bad, format=tarfile.GNU_FORMAT), "'link'", why)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_only_files_and_folders_come_out_of_a_zip(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    refuses(tmp_path / "a.zip", "'link'", "link or a device")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip", {"f": b"1"}).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    refuses(tmp_path / "a.zip", "'f'", "encrypted")


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
@pytest.mark.parametrize(
    "names",
    [
        ("Cat.png", "cat.png"),
        ("A/1", "a/2"),
        ("é.png", "e\u0301.png"),
        ("Straße", "STRASSE"),
        ("x", "x/y"),
        ("x/y", "x"),
    ],
)
def test_names_that_some_disks_take_for_one_are_refused(tmp_path: Path, suffix: str, names: tuple[str, str]) -> None:
    refuses(make_any(tmp_path / f"a{suffix}", dict.fromkeys(names, b"1")))


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    refuses(tar_of(tmp_path / "a.tgz", member("x"), member("./x")), "twice")
    twice = tar_of(tmp_path / "b.tgz", member("d", tarfile.DIRTYPE), member("d/", tarfile.DIRTYPE), member("d/x"))
    assert content(extract_archive(twice, tmp_path / "ok")) == {"x": b""}


def test_permissions_and_times_are_not_taken_over(tmp_path: Path) -> None:
    os.umask(mask := os.umask(0o022))
    archive = tar_of(
        tmp_path / "a.tgz", member("run", mode=0o6755), member("shut", mode=0), member("d", tarfile.DIRTYPE, mode=0)
    )
    target = extract_archive(archive, tmp_path / "out")
    assert {stat.S_IMODE((target / name).stat().st_mode) for name in ("run", "shut")} == {0o666 & ~mask}
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o777 & ~mask
    assert stat.S_IMODE(target.stat().st_mode) == 0o777 & ~mask


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (ExtractionLimits(members=3), "3 members"),
        (ExtractionLimits(total_bytes=200_000), "200,000 bytes in all"),
        (ExtractionLimits(member_bytes=99_999), "larger than the limit of 99,999"),
        (ExtractionLimits(ratio=20, ratio_from=100_000), "a bomb"),
    ],
)
def test_limits(tmp_path: Path, suffix: str, limits: ExtractionLimits, why: str) -> None:
    archive = make_any(tmp_path / f"bomb{suffix}", {f"{i}": bytes(100_000) for i in range(4)})
    refuses(archive, why, limits=limits)
    assert len(content(extract_archive(archive, tmp_path / "fine"))) == 4


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_megabytes_is_a_bomb(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        head = member("head", kind, size=8 << 20)
        assert tar.fileobj is not None
        tar.fileobj.write(head.tobuf(tarfile.GNU_FORMAT) + bytes(head.size))
    refuses(tmp_path / "a.tgz", "header", limits=ExtractionLimits(header_bytes=1 << 20))


def test_headers_nested_without_end_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        record = b"11 path=ab\n"
        head = member("head", tarfile.XHDTYPE, size=len(record)).tobuf(tarfile.USTAR_FORMAT)
        assert tar.fileobj is not None
        tar.fileobj.write((head + record.ljust(512, b"\0")) * 1000)
    refuses(tmp_path / "a.tgz")


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    bad = member("x")
    bad.pax_headers = {"size": "-1"}
    refuses(tar_of(tmp_path / "a.tgz", bad, format=tarfile.PAX_FORMAT))


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.xz", "a.zip"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    mode = {".tar": "w", ".tgz": "w:gz", ".xz": "w:xz"}.get(Path(name).suffix)
    archive = make_tar(tmp_path / name, TREE, mode) if mode else make_zip(tmp_path / name, TREE)
    whole = archive.read_bytes()
    end = 4 * 512 + 5 * 512 if name == "a.tar" else len(whole)  # after it a tar is padding
    for size in [*range(0, end, max(1, end // 40)), end - 1]:
        archive.write_bytes(whole[:size])
        refuses(archive)


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip", {"f": b"1" * 1000}).read_bytes())
    at = data.index(b"PK\1\2") + 24
    assert int.from_bytes(data[at : at + 4], "little") == 1000
    data[at : at + 4] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data)
    refuses(tmp_path / "a.zip")


def test_a_web_page_that_was_saved_as_an_archive_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_text("\n<!DOCTYPE html>\n<html>")
    assert "web page" in (refuses(tmp_path / "a.tgz", "<!DOCTYPE html>").hint or "")


@pytest.mark.parametrize("data", [b"", b"PK\5\6" + bytes(18), b"not an archive at all", bytes(1024), b"\x1f\x8b"])
def test_what_holds_no_files_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    refuses(tmp_path / "a.zip")


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    refuses(tmp_path / "none.tgz", "No such file")


def test_a_full_disk_is_said_and_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    archive = make_tar(tmp_path / "a.tgz", TREE)
    monkeypatch.setattr("fastcli.data.safe_folder.os.write", full)
    refuses(archive, "No space left")


def test_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_archive(make_tar(tmp_path / "a.tgz", TREE), tmp_path / "out" / "data", progress=stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_existing_target_is_replaced_only_when_asked_and_only_by_a_whole_one(tmp_path: Path) -> None:
    target = extract_archive(make_tar(tmp_path / "a.tgz", {"f": b"old"}), tmp_path / "out" / "data")
    new = make_tar(tmp_path / "b.tgz", {"f": b"new"})
    with pytest.raises(DataError, match="exists already"):
        extract_archive(new, target)
    with pytest.raises(DataError):
        extract_archive(make_tar(tmp_path / "c.tgz", {"../f": b"bad"}), target, replace=True)
    assert content(target) == {"f": b"old"}
    extract_archive(new, target, replace=True)
    assert content(target) == {"f": b"new"}
    assert [path.name for path in target.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_progress_ends_with_the_size_of_the_archive(tmp_path: Path, make: Callable[..., Path]) -> None:
    archive, seen = make(tmp_path / "a", TREE), list[tuple[int, int | None]]()
    extract_archive(archive, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    size = archive.stat().st_size
    assert seen[-1] == (size, size)
    assert all(done <= size for done, _ in seen)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\:"), min_size=1, max_size=12)
FREE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(st.text(max_size=40))
def test_safe_parts_never_gives_a_way_out(name: str) -> None:
    try:
        parts = safe_parts(name)
    except ValueError:
        return
    inside = os.path.normpath("/".join(("/root/target", *parts)))
    assert inside == "/root/target" or inside.startswith("/root/target/")
    assert not {"", ".", ".."} & set(parts)


@FREE
@given(
    st.dictionaries(NAMES.filter(lambda name: name.strip(".") != ""), st.binary(max_size=1500), min_size=2, max_size=6)
)
def test_what_is_packed_comes_out_or_is_refused_for_its_names(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("a.tgz", make_tar), ("a.zip", make_zip)):
            archive = make(Path(folder) / name, files)
            try:
                target = extract_archive(archive, Path(folder) / f"{name} out")
            except DataError as error:
                reasons = ("upper and lower case", "holds no files", "control character")
                assert any(reason in error.message for reason in reasons)  # noqa: PT017
            else:
                assert content(target) == files


@FREE
@given(st.data())
def test_a_damaged_archive_gives_the_whole_content_or_an_error(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        suffix = data.draw(st.sampled_from([".tgz", ".zip"]))
        archive = make_any(Path(folder) / f"a{suffix}", TREE)
        damaged = bytearray(archive.read_bytes())
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] ^= data.draw(st.integers(1, 255))
        archive.write_bytes(damaged)
        try:
            target = extract_archive(archive, Path(folder) / "out" / "data")
        except DataError:
            assert not list((Path(folder) / "out").glob("*"))
        else:
            if suffix == ".tgz":  # its checksum covers names too
                assert content(target) == {path.removeprefix("top/"): value for path, value in TREE.items()}
