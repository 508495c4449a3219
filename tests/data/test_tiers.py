"""Which tier is taken, by what is free."""

import pytest

from fastcli.data import pixel_file, tiers
from fastcli.data.pixel_file import PixelFile
from fastcli.data.tiers import Tiers
from fastcli.errors import ConfigError


def make(folder, **options):
    return Tiers(4, uniform=False, folder=folder, **options)


@pytest.fixture
def machine(monkeypatch):
    """1000 bytes of memory and 4000 of disk."""
    monkeypatch.setattr(tiers, "available_memory", lambda: 1000)
    monkeypatch.setattr(pixel_file, "free_disk", lambda folder: 4000)


@pytest.mark.parametrize(("total", "tier"), [(0, "off"), (400, "ram"), (401, "disk"), (2000, "disk"), (2001, "off")])
def test_the_first_that_holds_everything(total, tier, machine, tmp_path):
    made = make(tmp_path)
    assert made.automatic(lambda: total)[0] == tier
    assert [note.partition(":")[0] for note in made.notes] == [f"cannot keep pixels in {tmp_path}"] * (total > 2000)


def test_one_epoch_is_not_worth_a_file(machine, tmp_path):
    assert make(tmp_path, epochs=1).automatic(lambda: 500)[0] == "off"
    assert make(tmp_path, epochs=2).automatic(lambda: 500)[0] == "disk"


@pytest.mark.parametrize("free", [1000, 999])
def test_a_gpu_comes_first(free, machine, tmp_path, monkeypatch):
    monkeypatch.setattr(tiers.torch.cuda, "mem_get_info", lambda device: (free, 9999))
    tier, shelf = make(tmp_path, device="cuda").automatic(lambda: 400)
    assert (tier, shelf.device.type) == (("device", "cuda") if free == 1000 else ("ram", "cpu"))
    assert shelf.budget == 400


@pytest.mark.parametrize(("device", "named", "tier"), [("cpu", "device", "ram"), ("cuda", "device", "device"),
                                                       ("cuda", "ram", "ram"), ("cuda", "off", "off")])  # fmt: skip
def test_a_named_tier_is_taken_whatever_is_free(device, named, tier, machine, tmp_path):
    found, shelf = make(tmp_path, device=device).named(named, lambda: 5000)
    assert found == tier
    assert shelf is None or (shelf.expected, shelf.budget) == (5000, None)


def test_a_named_disk_without_room_is_an_error(machine, tmp_path):
    with pytest.raises(
        ConfigError, match=r"cannot keep pixels in .*half of what is free is .*\nhint: set FASTCLI_HOME"
    ):
        make(tmp_path).named("disk", lambda: 2001)
    assert isinstance(make(tmp_path).named("disk", lambda: 2000)[1], PixelFile)


def test_a_folder_that_cannot_be_written_to_is_told(machine, tmp_path):
    (tmp_path / "file").write_text("")
    made = make(tmp_path / "file")
    assert made.automatic(lambda: 500) == ("off", None)
    assert made.notes == [
        f"cannot keep pixels in {tmp_path / 'file'}: File exists: pictures are decoded anew for each epoch"
    ]
    with pytest.raises(ConfigError, match="File exists"):
        make(tmp_path / "file").named("disk", lambda: 500)


def test_a_damaged_file_is_told_and_made_anew(tmp_path):
    (tmp_path / "key.pixels").write_bytes(b"damaged")
    made = make(tmp_path, key=lambda: "key")
    assert isinstance(made.named("disk", lambda: 500)[1], PixelFile)
    assert made.notes == [f"{tmp_path / 'key.pixels'} is too short: it is made anew"]
