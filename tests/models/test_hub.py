import hashlib
import io
import urllib.error
import urllib.request
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from fastcli.errors import ConfigError, DataError
from fastcli.models import hub
from fastcli.models.create import create_model
from fastcli.types import InputInfo

SMALL = InputInfo(3, (64, 64))
REPOSITORY = "timm/test_resnet.r160_in1k"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: pytest.fail("the hub was asked"))


def put_in_cache(cache, weights):
    folder = cache / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    save_file(weights, snapshot / "model.safetensors")


@pytest.mark.usefixtures("no_network")
def test_cached_weights_are_used_without_asking_the_network(cache):
    plain = timm.create_model("test_resnet")
    put_in_cache(cache, plain.state_dict())
    model = create_model("test_resnet", SMALL, 2)
    assert torch.equal(model.body.conv1[0].weight, plain.conv1[0].weight)
    assert model.weights.source == REPOSITORY


@pytest.mark.usefixtures("no_network")
def test_without_a_network_one_error_says_what_to_do(cache):
    with pytest.raises(DataError) as caught:
        create_model("test_resnet", SMALL, 2)
    assert caught.value.exit_code == 3
    assert "test_resnet" in caught.value.message
    assert REPOSITORY in caught.value.message
    assert str(cache / "hub") in caught.value.hint
    assert "model.pretrained=PATH" in caught.value.hint


def test_a_server_that_never_answers_is_given_up(cache, monkeypatch):
    import threading

    release = threading.Event()
    monkeypatch.setattr(hub, "REACH_SECONDS", 0.01)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: io.BytesIO(bytes(release.wait(10))))
    with pytest.raises(DataError, match="no answer"):
        create_model("test_resnet", SMALL, 2)
    release.set()


@pytest.mark.usefixtures("cache")
def test_the_hub_is_asked_once_a_server_answers_even_with_an_error(monkeypatch, tmp_path):
    plain = timm.create_model("test_resnet")
    save_file(plain.state_dict(), tmp_path / "w.safetensors")

    def forbid(request, timeout):
        raise urllib.error.HTTPError(request.full_url, 403, "forbidden", {}, io.BytesIO())

    monkeypatch.setattr(urllib.request, "urlopen", forbid)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: str(tmp_path / "w.safetensors"))
    model = create_model("test_resnet", SMALL, 2)
    assert torch.equal(model.body.conv1[0].weight, plain.conv1[0].weight)


@pytest.mark.usefixtures("cache")
def test_a_download_that_breaks_is_the_same_error(monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionResetError("peer is gone")

    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: io.BytesIO())
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(DataError, match="peer is gone"):
        create_model("test_resnet", SMALL, 2)


def test_offline_mode_is_respected(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: pytest.fail("the network was asked"))
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        create_model("test_resnet", SMALL, 2)


def test_weights_at_a_plain_address_are_downloaded_once_and_kept(cache, monkeypatch):
    content = b"some weights"
    digest = hashlib.sha256(content).hexdigest()[:8]
    asked = []

    def download(url, path, hash_prefix):
        asked.append((url, hash_prefix))
        Path(path).write_bytes(content)

    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: io.BytesIO())
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    url = f"https://example.org/net-{digest}.pth"
    for _ in range(2):
        assert hub.hub_weights({"url": url}).read_bytes() == content
    assert asked == [(url, digest)]


def test_an_architecture_without_weights_says_so():
    with pytest.raises(ConfigError, match="no pretrained weights for resnetx") as caught:
        hub.hub_weights({"architecture": "resnetx"})
    assert caught.value.key == "model.pretrained"
