"""`fastcli data check`: planted faults are all found and named, in words, as data and on a page."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcli.survey.examine import examine
from fastcli.survey.samples import find_samples
from fastcli.survey.twins import candidates, groups_of_twins, joined, look


@pytest.fixture
def planted(picture):
    """A sound folder with one of each fault."""
    for side, n in (("train", 8), ("valid", 4)):
        for name in ("cat", "dog"):
            for i in range(n):
                picture(f"photos/{side}/{name}/{i}.jpg", size=(96, 72), quality=90)
    root = Path("photos").absolute()
    whole = picture("photos/train/cat/whole.jpg", size=(96, 72)).read_bytes()
    (root / "train/cat/truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "valid/dog/copy of 3.jpg").write_bytes((root / "train/dog/3.jpg").read_bytes())
    picture("photos/valid/bird/1.jpg", size=(96, 72))
    (root / "train/dog/page.jpg").write_text("<!DOCTYPE html><title>404</title>")
    (root / "train/dog/words.jpg").write_text("Not found")
    (root / "train/dog/empty.jpg").write_bytes(b"")
    picture("photos/train/cat/dot.png", size=(1, 1))
    picture("photos/train/cat/été à la plage.jpg", size=(96, 72))
    return root


def found(report, kind):
    """Files by detail of all findings of a kind."""
    return [(tuple(e["files"]), e["detail"]) for f in report["findings"] if f["kind"] == kind for e in f["entries"]]


def test_planted_faults_are_all_found_and_named(fastcli, planted):
    code, out, err = fastcli("--json", "data", "check", "photos")
    report = json.loads(out)
    assert code == 3, err
    corrupt = {files[0]: detail for files, detail in found(report, "corrupt")}
    assert corrupt.pop("train/cat/truncated.jpg").startswith("corrupt or truncated")
    assert corrupt == {
        "train/dog/page.jpg": "is an HTML page, not a picture",
        "train/dog/words.jpg": "is text, not a picture",
        "train/dog/empty.jpg": "the file is empty",
    }
    assert found(report, "duplicate across splits") == [
        (("train/dog/3.jpg (train)", "valid/dog/copy of 3.jpg (valid)"), "")
    ]
    assert found(report, "class missing") == [((), "'bird': 1 picture")]
    assert found(report, "tiny") == [(("train/cat/dot.png",), "1 x 1")]
    assert (("train/cat/été à la plage.jpg",), "blanks, accents") in found(report, "names")
    assert {f["kind"] for f in report["findings"] if f["severity"] == "error"} == {
        "corrupt", "duplicate across splits", "class missing",
    }  # fmt: skip


def test_the_words_name_them_too(fastcli, planted):
    code, out, _ = fastcli("data", "check", "photos", "-v")
    assert code == 3
    for name in ("truncated.jpg", "copy of 3.jpg (valid)", "'bird'", "page.jpg", "dot.png", "été à la plage.jpg"):
        assert name in out, name
    assert out.splitlines()[0] == "error: cannot be decoded (4)"
    assert out.splitlines()[-1].startswith("33 pictures · 3 classes · 23 + 10 in the split · 3 errors, ")


def test_a_sound_folder_has_nothing_wrong(fastcli, picture):
    for side in ("train", "valid"):
        for i in range(6):
            picture(f"photos/{side}/cat/{i}.png")
            picture(f"photos/{side}/dog/{i}.png")
    code, out, _ = fastcli("data", "check", "photos")
    assert (code, out) == (0, "24 pictures · 2 classes · 12 + 12 in the split · nothing found\n")


def test_near_duplicates_and_conflicting_labels(fastcli, picture):
    for side in ("train", "valid"):
        for name in ("cat", "dog"):
            for i in range(5):
                picture(f"photos/{side}/{name}/{i}.png", size=(96, 72))
    with Image.open("photos/train/cat/0.png") as first:
        first.resize((60, 45)).save("photos/valid/cat/smaller.jpg", quality=60)
        first.point(lambda grey: min(255, grey + 12)).save("photos/train/dog/brighter.png")
    Path("photos/train/dog/same.png").write_bytes(Path("photos/train/cat/1.png").read_bytes())
    code, out, _ = fastcli("--json", "data", "check", "photos")
    report = json.loads(out)
    assert code == 3
    assert found(report, "conflicting labels") == [(("train/cat/1.png", "train/dog/same.png"), "classes cat, dog")]
    expected = {"train/cat/0.png (train)", "valid/cat/smaller.jpg (valid)", "train/dog/brighter.png (train)"}
    assert {name for files, _ in found(report, "near duplicate across splits") for name in files} == expected
    assert len(found(report, "conflicting labels of near duplicates")) == 1


def test_colours_turns_and_formats(fastcli, picture, tmp_path):
    for i in range(6):
        picture(f"photos/a/{i}.png")
        picture(f"photos/b/{i}.png")
    exif = Image.Exif()
    exif[274] = 6
    picture("photos/a/turned.jpg", exif=exif)
    picture("photos/a/grey.png", mode="L")
    picture("photos/a/cmyk.jpg", mode="CMYK")
    picture("photos/a/palette.gif", mode="P")
    picture("photos/a/alpha.png", mode="RGBA")
    Image.fromarray(np.arange(432, dtype=np.uint16).reshape(18, 24) * 100).save("photos/b/sixteen.png")
    picture("photos/b/really.jpg", format="PNG")
    frames = [Image.new("RGB", (24, 18), colour) for colour in ("red", "blue")]
    frames[0].save("photos/b/moves.gif", save_all=True, append_images=frames[1:])
    code, out, _ = fastcli("--json", "data", "check", "photos")
    report = json.loads(out)
    assert code == 0
    assert found(report, "turned") == [(("a/turned.jpg",), "")]
    by_words = {f["what"]: f["entries"][0]["files"] for f in report["findings"] if f["kind"] == "colours"}
    assert by_words["grey; converted to RGB"] == ["a/grey.png"]
    assert by_words["CMYK; converted to RGB"] == ["a/cmyk.jpg"]
    assert by_words["alpha; converted to RGB"] == ["a/alpha.png"]
    assert by_words["16-bit grey; converted to RGB"] == ["b/sixteen.png"]
    assert found(report, "extension") == [(("b/really.jpg",), "is PNG")]
    assert found(report, "frames") == [(("b/moves.gif",), "2 frames")]
    facts = examine(tmp_path / "photos/a/turned.jpg")
    assert (facts.size, facts.turned) == ((18, 24), True)


def test_huge_pictures_and_those_above_the_limit(fastcli, picture, monkeypatch):
    for i in range(5):
        picture(f"photos/a/{i}.png")
        picture(f"photos/b/{i}.png")
    picture("photos/a/large.png", size=(200, 100))
    monkeypatch.setattr("fastcli.survey.faults.HUGE", 10_000)
    report = json.loads(fastcli("--json", "data", "check", "photos")[1])
    assert found(report, "huge") == [(("a/large.png",), "200 x 100")]
    Path("a.yaml").write_text("data: {source: photos, max_pixels: 1000, on_bad_image: skip}\nmodel: resnet18\n")
    code, out, _ = fastcli("--json", "data", "check", "a.yaml")
    assert code == 0  # what cannot be read is left out
    assert "1,000 pixels are allowed" in found(json.loads(out), "corrupt")[0][1]
    assert fastcli("data", "check", "a.yaml", "data.on_bad_image=error")[0] == 3


def test_imbalance_rare_classes_and_names(fastcli, picture):
    for i in range(60):
        picture(f"photos/train/grizzly/{i}.png", size=(8, 8))
    for i in range(5):
        picture(f"photos/train/Teddy/{i}.png", size=(8, 8))
    picture("photos/train/teddies/1.png", size=(8, 8))
    for name in ("grizzly", "Teddy"):
        picture(f"photos/valid/{name}/1.png", size=(8, 8))
    code, out, _ = fastcli("--json", "data", "check", "photos")
    report = json.loads(out)
    assert code == 0
    assert found(report, "imbalance") == [((), "60 of 'grizzly', 1 of 'teddies'")]
    assert found(report, "rare class") == [((), "'teddies': 1 picture")]
    assert found(report, "class names") == [((), "'Teddy' and 'teddies' (plural)")]
    missing = [f for f in report["findings"] if f["kind"] == "class missing"]
    assert [f["severity"] for f in missing] == ["warning"]


def test_masks_of_another_shape(fastcli, picture):
    for i in range(6):
        picture(f"work/images/{i}.jpg")
        Image.fromarray(np.zeros((18, 24), np.uint8)).save(picture(f"work/masks/{i}.png"))
    Image.fromarray(np.zeros((24, 18), np.uint8)).save("work/masks/2.png")
    Path("work/masks/3.png").write_bytes(b"\x89PNG broken")
    code, out, _ = fastcli("--json", "data", "check", "work")
    assert code == 3
    faults = dict(found(json.loads(out), "mask"))
    assert faults[("images/2.jpg", "masks/2.png")] == "24 x 18 and 18 x 24"
    assert ("masks/3.png",) in faults


def test_what_has_no_labels_is_looked_at_all_the_same(fastcli, picture):
    for i in range(3):
        picture(f"heap/IMG_{i}.jpg")
    Path("heap/IMG_9.jpg").write_text("no")
    code, out, err = fastcli("data", "check", "heap")
    assert (code, "looking at files alone" in err) == (3, True)
    assert "IMG_9.jpg: is text, not a picture" in out
    assert fastcli("data", "check", "nowhere")[0] == 3
    assert fastcli("data", "check", "heap", "data.seed=1")[0] == 2


def test_labels_and_splits_that_fail_are_findings(fastcli, picture):
    for i in range(4):
        picture(f"photos/{'a' if i else 'b'}_{i}.jpg")
    picture("photos/other.jpg")
    Path("a.yaml").write_text(
        "data: {source: photos, label: {name: regex, pattern: '^(.)_'}, split: {name: index, valid: [0]}}\n"
        "model: resnet18\n"
    )
    code, out, _ = fastcli("data", "check", "a.yaml")
    assert code == 3
    assert "error: labels: the name of" in out


def test_the_page_is_one_file_with_pictures_and_everything_escaped(fastcli, planted, picture, parsed):
    name = "train/cat/<script>alert('1')<&.jpg"
    picture(f"photos/{name}", size=(96, 72))
    code, _, err = fastcli("data", "check", "photos", "-o", "out/faults.html")
    assert (code, "wrote out/faults.html" in err) == (3, True)
    page = parsed(Path("out/faults.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in page.addresses)
    assert page.tags.count("img") > 3
    assert any("été à la plage.jpg" in one for one in page.words)
    assert "no picture" in page.words


def test_a_stack_of_pictures_takes_no_time_to_compare():
    random = np.random.default_rng(0)
    looks = [random.integers(0, 255, 256, dtype=np.uint8).tobytes() for _ in range(3000)]
    looks[2000] = looks[10]
    assert groups_of_twins(looks) == [[10, 2000]]
    assert groups_of_twins([]) == []
    assert groups_of_twins([looks[0]] * 1000) == [list(range(1000))]
    assert look(np.full((16, 16), 7, np.uint8)) is None
    hashes = random.integers(0, 2**63, 500).astype(np.uint64)
    brute = [[i, j] for i in range(500) for j in range(i + 1, 500) if (hashes[i] ^ hashes[j]).item().bit_count() <= 18]
    assert brute
    assert candidates(hashes, 18).tolist() == sorted(brute)
    assert joined(np.empty((0, 2), np.int64), 3) == []


def test_each_picture_is_read_by_training_as_it_is_checked(picture):
    """What `examine` lets pass the training's reader opens, and the other way round."""
    from fastcli.data.pictures import why_bad

    good = picture("a.jpg")
    content = good.read_bytes()
    for cut in range(100, len(content), max(97, len(content) // 12)):
        path = good.with_name(f"{cut}.jpg")
        path.write_bytes(content[:cut])
        assert (examine(path).fault is None) == (why_bad(path) is None)
    raw = io.BytesIO()
    Image.new("RGB", (4, 4)).save(raw, "BMP")
    good.write_bytes(raw.getvalue())
    assert examine(good).format == "BMP"


def test_samples_are_those_that_training_takes(picture):
    from fastcli.data.download import resolve_source

    for name in ("a", "b"):
        for i in range(10):
            picture(f"photos/{name}/{i}.png")
    source = resolve_source(good := picture("photos/a/0.png").parents[1])
    samples = find_samples(source, seed=3)
    from fastcli.config.models import Config
    from fastcli.experiment import build

    config = Config.model_validate({
        "experiment": {"seed": 3}, "data": {"source": str(good)}, "model": {"name": "linear"},
        "runtime": {"device": "cpu", "precision": "fp32", "channels_last": False},
    })  # fmt: skip
    rows = build(config, max_batches=1).datasets.split_rows()
    ours = sorted((s.path.relative_to(good).as_posix(), s.labels[0], s.split) for s in samples.all)
    assert ours == [tuple(row) for row in rows]


def test_checking_needs_no_torch(fastcli, planted):
    script = (
        "import sys\nfrom fastcli.cli import run\nrun(['data', 'check', 'photos', '-q'])\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
