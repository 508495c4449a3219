from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastcli.data import locks
from fastcli.data.locks import file_lock

HOLD = """
import sys
from pathlib import Path
from fastcli.data.locks import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["leave", "kill"])
def test_another_process_holds_it_until_it_leaves_or_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    path, waited, got = tmp_path / "a b" / "lock", threading.Event(), threading.Event()
    try_lock = locks._try_lock
    monkeypatch.setattr(locks, "_try_lock", lambda descriptor: try_lock(descriptor) or waited.set())
    monkeypatch.setattr(locks, "WAIT", 0.001)

    def want() -> None:
        with file_lock(path):
            got.set()

    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        wanting = threading.Thread(target=want)
        wanting.start()
        assert waited.wait(30)
        assert not got.is_set()
        other.kill() if end == "kill" else other.stdin.close()
        assert got.wait(30)
        wanting.join()


def test_an_error_inside_lets_go_of_it(tmp_path: Path) -> None:
    with pytest.raises(KeyError), file_lock(tmp_path / "lock"):
        raise KeyError
    with file_lock(tmp_path / "lock"):
        pass
