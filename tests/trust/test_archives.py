"""Archives that want to do harm, met as `data.source`: exit 3, the member named, nothing written anywhere else."""

import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import namedtuple
from pathlib import Path

import pytest

from fastcli import cli
from fastcli.data.archive import extract_archive
from fastcli.data.download import untar_data
from fastcli.errors import DataError

PICTURE = b"not looked at"


def entry(name: str, data: bytes = PICTURE, **fields) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, b"", type=kind, linkname=to)


def tar(*members) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.GNU_FORMAT) as packed:
        for info, data in (entry("cats/good.png"), *members):
            packed.addfile(info, io.BytesIO(data) if info.size == len(data) else None)
    return raw.getvalue()


def packed(*members: tuple[str, bytes, int]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in (("cats/good.png", PICTURE, 0), *members):
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo tidies some away
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return raw.getvalue()


def overlapping() -> bytes:
    """A zip whose members share the same bytes, as in Fifield's bombs."""
    data = zlib.compress(bytes(1 << 20), 9)[2:-4]
    local = struct.pack(
        "<4sHHHHHLLLHH", b"PK\3\4", 20, 0, 8, 0, 0, zlib.crc32(bytes(1 << 20)), len(data), 1 << 20, 1, 0
    )
    body, central = local + b"a" + data, b""
    for i in range(300):
        central += struct.pack("<4sHHHHHHLLLHHHHHLL", b"PK\1\2", 20, 20, 0, 8, 0, 0, zlib.crc32(bytes(1 << 20)),
                               len(data), 1 << 20, 3, 0, 0, 0, 0, 0, 0) + f"{i:03}".encode()  # fmt: skip
    return body + central + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 300, 300, len(central), len(body), 0)


HOSTILE = {
    "up.tgz": (tar(entry("cats/../../evil.png")), "cats/../../evil.png"),
    "root.tgz": (tar(entry("/tmp/evil.png")), "/tmp/evil.png"),
    "drive.tgz": (tar(entry("C:/evil.png")), "C:/evil.png"),
    "backslash.tgz": (tar(entry("..\\evil.png")), "evil.png"),
    "share.tgz": (tar(entry("\\\\host\\share\\evil.png")), "evil.png"),
    "link-out.tgz": (tar(link("cats/out", "../../.."), entry("cats/out/evil.png")), "cats/out"),
    "link-in.tgz": (tar(link("dogs", "cats"), entry("dogs/evil.png")), "dogs"),
    "hard-link.tgz": (tar(link("cats/evil.png", "/etc/passwd", tarfile.LNKTYPE)), "cats/evil.png"),
    "hard-link-in.tgz": (tar(link("cats/evil.png", "cats/good.png", tarfile.LNKTYPE)), "cats/evil.png"),
    "pipe.tgz": (tar(entry("cats/evil.png", b"", type=tarfile.FIFOTYPE)), "cats/evil.png"),
    "device.tgz": (tar(entry("cats/evil.png", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5)), "cats/evil.png"),
    "block.tgz": (tar(entry("cats/evil.png", b"", type=tarfile.BLKTYPE)), "cats/evil.png"),
    "case.tgz": (tar(entry("cats/GOOD.png")), "cats/GOOD.png"),
    "unicode.tgz": (tar(entry("é.png"), entry("e\u0301.png")), "e\u0301.png"),
    "twice.tgz": (tar(entry("cats/good.png")), "cats/good.png"),
    "file-as-folder.tgz": (tar(entry("cats/good.png/evil.png")), "cats/good.png/evil.png"),
    "long.tgz": (tar(entry("cats/" + "x" * 300 + ".png")), "xxx"),
    "deep.tgz": (tar(entry("x/" * 70 + "evil.png")), "64 folders deep"),
    "escape.tgz": (tar(entry("cats/\x1b[2Jevil.png")), "'cats/\\x1b[2Jevil.png'"),
    "newline.tgz": (tar(entry("cats/a\nb.png")), "'cats/a\\nb.png'"),
    "huge.tgz": (tar(entry("cats/huge.png", bytes(512), size=1 << 50)), "cats/huge.png"),
    "up.zip": (packed(("cats/../../evil.png", PICTURE, 0)), "cats/../../evil.png"),
    "root.zip": (packed(("/tmp/evil.png", PICTURE, 0)), "/tmp/evil.png"),
    "drive.zip": (packed(("c:evil.png", PICTURE, 0)), "c:evil.png"),
    "link.zip": (packed(("cats/out", b"/etc/passwd", stat.S_IFLNK | 0o777)), "cats/out"),
    "pipe.zip": (packed(("cats/evil.png", b"", stat.S_IFIFO)), "cats/evil.png"),
    "case.zip": (packed(("CATS/good.png", PICTURE, 0)), "CATS/good.png"),
    "long.zip": (packed(("y" * 60_000, PICTURE, 0)), "60,000 bytes"),
    "escape.zip": (packed(("cats/\x07.png", PICTURE, 0)), "'cats/\\x07.png'"),
    "overlap.zip": (overlapping(), "000"),
    "page.zip": (b"<!doctype html><title>Log in</title>", "<!doctype html>"),
    "empty.zip": (b"", "damaged"),
    "cut.tgz": (tar(entry("dogs/1.png", os.urandom(5000)))[:-2000], "damaged"),
    "cut.zip": (packed(("dogs/1.png", os.urandom(5000), 0))[:-100], "damaged"),
}


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, and the content of files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
            for path in folder.rglob("*")}  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "work" / "home"
    place.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("FASTCLI_HOME", str(place))
    return place


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_and_nothing_is_written(home, tmp_path, name, capsys):
    data, member = HOSTILE[name]
    Path(name).write_bytes(data)
    Path("c.yaml").write_text(f"data: {{source: {name}}}\nmodel: mlp\n")
    before = tree(tmp_path)
    assert cli.run(["train", "c.yaml"]) == 3
    told = capsys.readouterr().err
    assert name in told
    assert member in told
    assert "\x1b" not in told.replace("\x1b[1;31m", "").replace("\x1b[0m", "")
    new = {path: content for path, content in tree(tmp_path).items() if path not in before}
    assert all(path.startswith("work/home/locks") or content is None for path, content in new.items()), new
    assert list((home / "data" / "local").iterdir()) == []


def test_rights_owners_and_set_id_bits_are_not_taken_over(home):
    Path("bits.tgz").write_bytes(tar(entry("cats/run.sh", mode=0o6777, uid=0, gid=0, uname="root")))
    Path("bits.zip").write_bytes(packed(("cats/run.sh", PICTURE, stat.S_IFREG | 0o4777)))
    for name in ("bits.tgz", "bits.zip"):
        mode = (untar_data(name) / "run.sh").stat().st_mode
        assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR | stat.S_IXOTH)
        assert not mode & stat.S_IWOTH & ~os.umask(os.umask(0o22))


@pytest.mark.parametrize("make", [lambda big: tar(entry("cats/big.png", big)), lambda big: packed(("big", big, 0))])
def test_what_will_not_fit_on_the_disk_is_refused_before_it_fills_it(home, monkeypatch, make):
    Path("big.bin").write_bytes(make(bytes(3_000_000)))
    usage = namedtuple("usage", "total used free")(10**7, 8 * 10**6, 2 * 10**6)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    with pytest.raises(DataError, match=r"takes 3,\d\d\d,\d\d\d bytes unpacked, and 2,000,000 are free"):
        extract_archive(Path("big.bin"), home / "data")
    assert list(home.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_with_the_name_of_an_archive_does_not_hang(home):
    os.mkfifo("pipe.tgz")
    with pytest.raises(DataError, match="is a pipe or a device"):
        untar_data("pipe.tgz")


def test_a_member_with_the_name_of_our_mark_is_no_mark(home):
    Path("mark.tgz").write_bytes(tar(entry("cats/.fastcli-complete.json", b'{"files": 99}')))
    assert b'"files": 2' in (untar_data("mark.tgz") / ".fastcli-complete.json").read_bytes()
    Path("folder.tgz").write_bytes(tar(entry("cats/.fastcli-complete.json/x")))
    with pytest.raises(DataError, match="cannot extract"):
        untar_data("folder.tgz")
    assert [path.name.split("-")[0] for path in (home / "data" / "local").iterdir()] == ["mark"]
