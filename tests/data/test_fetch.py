from __future__ import annotations

import hashlib
import random
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from fastcli import __version__
from fastcli.data.fetch import Expected, Patience, fetch
from fastcli.errors import DataError

DATA = random.Random(1).randbytes(3_000_000)
AT_ONCE = Patience(pause=0, retries=3)
EXPECTED = Expected(len(DATA), hashlib.md5(DATA[: 1 << 20]).hexdigest(), hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "ein Archiv" / "ü.bin"


def files(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_arrives_whole_with_nothing_beside_it(web: Any, target: Path) -> None:
    web.files["a"] = DATA
    seen: list[tuple[int, int | None]] = []
    got = fetch(web.url("a"), target, expected=EXPECTED, progress=lambda done, total: seen.append((done, total)))
    assert got == target
    assert target.read_bytes() == DATA
    assert files(target) == ["ü.bin"]
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert web.agents == [f"fastcli/{__version__}"]


@pytest.mark.parametrize("validator", [{"ETag": '"one"'}, {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, {}])
def test_a_broken_transfer_goes_on_where_it_stopped(web: Any, target: Path, validator: dict[str, str]) -> None:
    web.files["a"], web.headers, web.cuts = DATA, validator, [1_000_000, 1_000_000]
    fetch(web.url("a"), target, expected=EXPECTED, patience=AT_ONCE)
    assert target.read_bytes() == DATA
    assert web.requests == [("a", None), ("a", "bytes=1000000-"), ("a", "bytes=2000000-")]


def test_an_interruption_leaves_a_part_that_is_resumed(web: Any, target: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    web.files["a"] = DATA
    with pytest.raises(KeyboardInterrupt):
        fetch(web.url("a"), target, progress=stop)
    assert files(target) == ["ü.bin.part", "ü.bin.part.json"]
    size = target.with_name("ü.bin.part").stat().st_size
    assert 0 < size < len(DATA)
    fetch(web.url("a"), target, expected=EXPECTED)
    assert web.requests[-1] == ("a", f"bytes={size}-")
    assert files(target) == ["ü.bin"]


def test_a_part_that_was_complete_needs_no_server(web: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    web.files["a"] = DATA
    with monkeypatch.context() as patched:
        patched.setattr(Expected, "mismatch", stop)
        with pytest.raises(KeyboardInterrupt):
            fetch(web.url("a"), target)
    fetch(web.url("a"), target, expected=EXPECTED)
    assert len(web.requests) == 1
    assert target.read_bytes() == DATA


def start_part(web: Any, target: Path) -> None:
    """Leave half of `DATA` as a part of `a`."""
    web.files["a"], web.cuts = DATA, [len(DATA) // 2]
    with pytest.raises(DataError, match="broke after 1,500,000 of 3,000,000 bytes"):
        fetch(web.url("a"), target, patience=Patience(retries=-1))
    assert target.with_name("ü.bin.part").stat().st_size == len(DATA) // 2


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(web: Any, target: Path) -> None:
    start_part(web, target)
    web.files["a"], web.headers = DATA[::-1], {"ETag": '"two"'}
    fetch(web.url("a"), target)
    assert target.read_bytes() == DATA[::-1]


def test_a_file_without_validator_that_changed_size_is_fetched_from_its_start(web: Any, target: Path) -> None:
    web.headers = {}
    start_part(web, target)
    web.files["a"] = DATA[::-1] + b"more"
    fetch(web.url("a"), target, patience=AT_ONCE)
    assert target.read_bytes() == DATA[::-1] + b"more"


def test_a_file_that_shrank_below_the_part_is_fetched_from_its_start(web: Any, target: Path) -> None:
    web.headers = {}
    start_part(web, target)
    web.files["a"] = b"small"
    fetch(web.url("a"), target, patience=AT_ONCE)
    assert target.read_bytes() == b"small"


def test_a_server_without_ranges_is_asked_again_for_all(web: Any, target: Path) -> None:
    start_part(web, target)
    web.ranges = False
    fetch(web.url("a"), target, expected=EXPECTED)
    assert target.read_bytes() == DATA


def test_a_server_that_continues_elsewhere_is_not_believed(web: Any, target: Path) -> None:
    start_part(web, target)
    web.offset_by = 7
    fetch(web.url("a"), target, expected=EXPECTED, patience=AT_ONCE)
    assert target.read_bytes() == DATA


def test_a_part_of_another_address_or_with_torn_notes_is_not_resumed(web: Any, target: Path) -> None:
    start_part(web, target)
    web.files["b"] = b"b" * 2_000_000
    fetch(web.url("b"), target)
    assert target.read_bytes() == web.files["b"]
    start_part(web, target)
    target.with_name("ü.bin.part.json").write_text('{"url": ')
    fetch(web.url("a"), target, expected=EXPECTED)
    assert web.requests[-1] == ("a", None)


def test_passing_failures_are_tried_again(web: Any, target: Path) -> None:
    web.files["a"], web.statuses = DATA, [503, 429, 500]
    fetch(web.url("a"), target, expected=EXPECTED, patience=AT_ONCE)
    assert len(web.requests) == 4


def test_lasting_failures_end_with_the_reason_and_the_hint(web: Any, target: Path) -> None:
    web.files["a"], web.statuses = DATA, [503] * 9
    with pytest.raises(DataError) as caught:
        fetch(web.url("a"), target, name="PETS", hint="do this", patience=AT_ONCE)
    assert caught.value.message == "cannot download PETS: the server answered 503 Service Unavailable, after 4 tries"
    assert caught.value.hint == "do this"
    assert len(web.requests) == 4


def test_progress_between_failures_is_not_counted_as_failing(web: Any, target: Path) -> None:
    web.files["a"], web.cuts = DATA, [200_000] * 14
    fetch(web.url("a"), target, expected=EXPECTED, patience=Patience(pause=0, retries=1))
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusals_are_not_tried_again_and_hide_what_is_secret(web: Any, target: Path, status: int) -> None:
    web.statuses = [status]
    with pytest.raises(DataError, match=f"answered {status}") as caught:
        fetch(web.url("a?token=secret"), target, patience=AT_ONCE)
    assert "secret" not in str(caught.value)
    assert len(web.requests) == 1
    assert files(target) == []


def test_without_a_length_the_end_of_the_connection_is_the_end(web: Any, target: Path) -> None:
    web.files["a"], web.lengths = DATA, False
    fetch(web.url("a"), target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        (Expected(size=5), "offers 3,000,000 bytes instead of 5"),
        (Expected(md5_first_mib="0" * 32), "first MiB has another MD5"),
        (Expected(sha256="0" * 64), "another SHA-256"),
    ],
)
def test_another_file_than_expected_is_refused_and_not_kept(
    web: Any, target: Path, expected: Expected, why: str
) -> None:
    web.files["a"] = DATA
    with pytest.raises(DataError, match=why):
        fetch(web.url("a"), target, expected=expected, patience=AT_ONCE)
    assert not target.exists()
    assert not target.with_name("ü.bin.part").exists()


def test_a_wrong_size_without_a_length_is_found_at_the_end(web: Any, target: Path) -> None:
    web.files["a"], web.lengths = DATA, False
    with pytest.raises(DataError, match="3,000,000 bytes instead of 5"):
        fetch(web.url("a"), target, expected=Expected(size=5))


def test_redirects_are_followed_to_http_alone(web: Any, target: Path) -> None:
    web.files["a"], web.redirects = DATA, {"r": web.url("a"), "f": "file:///etc/passwd", "g": "ftp://127.0.0.1/a"}
    assert fetch(web.url("r"), target).read_bytes() == DATA
    for name in ("f", "g"):
        with pytest.raises(DataError, match="302"):
            fetch(web.url(name), target, patience=AT_ONCE)


def test_a_name_that_does_not_resolve_is_said_at_once(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(DataError) as caught:
        fetch("https://example.org/a.tgz", target, name="PETS", hint="do this")
    wanted = "cannot download PETS: no network (example.org: Name or service not known)\nhint: do this"
    assert str(caught.value) == wanted
    assert asked == ["example.org"]


def test_a_closed_port_is_no_network(target: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(DataError, match=r"no network .*refused"):
            fetch(f"http://127.0.0.1:{port}/a", target)


def test_a_network_that_never_answers_is_given_up(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        over.wait(30)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", hang)
    with pytest.raises(DataError, match=r"no network .*no answer within"):
        fetch("http://example.org/a", target, patience=Patience(connect=0.01))
    over.set()


def test_the_proxy_is_what_must_answer(web: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.base)
    monkeypatch.delenv("no_proxy", raising=False)
    web.statuses = [404]
    with pytest.raises(DataError, match="answered 404"):
        fetch("http://example.invalid/a", target)


def test_too_little_room_is_said_before_it_is_filled(web: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["a"] = DATA
    monkeypatch.setattr("fastcli.data.fetch.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(DataError, match=r"needs 3,000,000 bytes, but .* has 10 left"):
        fetch(web.url("a"), target)
    assert len(web.requests) == 1


def test_a_disk_that_fills_up_is_not_tried_again(web: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    web.files["a"] = DATA
    monkeypatch.setattr("fastcli.data.fetch._copy", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(web.url("a"), target, patience=AT_ONCE)
    assert len(web.requests) == 1
