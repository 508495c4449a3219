"""`fastcli data list` and `data get`, against a server of this machine."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from fastcli.data.catalog import KNOWN, KnownDataset


def archive(files):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return memory.getvalue()


TOYS = archive({"toys/cat/1.png": b"one" * 4000, "toys/dog/2.png": bytes(range(256)) * 30})


@pytest.fixture
def fastcli(fastcli, place, monkeypatch, web):
    web.files["toys.tgz"] = TOYS
    digest = hashlib.sha256(TOYS).hexdigest()
    known = KnownDataset("TOYS", web.url("toys.tgz"), len(TOYS), None, digest, "toys", "wooden toys, 2 images")
    monkeypatch.setitem(KNOWN, "TOYS", known)

    return fastcli


def test_get_downloads_once_and_list_tells(fastcli, tmp_path, web):
    assert json.loads(fastcli("data", "list", "wooden", "--json")[1])[0]["here"] is False
    code, out, err = fastcli("data", "get", "toys")
    assert (code, out.strip()) == (0, str(tmp_path / "home" / "data" / "toys"))
    assert "next: fastcli init TOYS" in err
    assert (Path(out.strip()) / "cat" / "1.png").read_bytes() == b"one" * 4000
    assert fastcli("data", "get", "TOYS")[0] == 0
    assert len(web.requests) == 1
    _, out, _ = fastcli("data", "list", "wooden")
    assert [line.split() for line in out.splitlines()][1][0:4:3] == ["TOYS", "yes"]
    assert json.loads(fastcli("data", "get", "TOYS", "--json")[1])["name"] == "TOYS"


def test_a_broken_download_goes_on_where_it_stopped(fastcli, web):
    web.cuts = [100]
    assert fastcli("data", "get", "TOYS")[0] == 0
    assert [asked for _, asked in web.requests] == [None, "bytes=100-"]


def test_a_file_with_another_checksum_is_refused(fastcli, web):
    web.files["toys.tgz"] = TOYS[:-1] + bytes([TOYS[-1] ^ 1])
    code, _, err = fastcli("data", "get", "TOYS")
    assert (code, "it has another SHA-256 checksum" in err) == (3, True)


def test_mistakes(fastcli):
    code, _, err = fastcli("data", "get", "TOIS")
    assert (code, err) == (2, "error: no known data set 'TOIS'\nhint: did you mean 'TOYS'?\n")
    assert fastcli("data", "get", "ftp://example.org/a.tgz")[0] == 3
    code, _, err = fastcli("data", "list", "zebra")
    assert (code, "no known data set has 'zebra'" in err) == (2, True)


def test_the_list_is_whole(fastcli):
    code, out, _ = fastcli("data", "list")
    assert code == 0
    assert len(out.splitlines()) == len(KNOWN) + 1
    assert "MNIST_SAMPLE" in out
