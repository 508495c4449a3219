"""The page of an evaluation: small, safe whatever files and classes are called, alive where there is a browser."""

import html
import json
import re
import shutil
import subprocess

import pytest
import torch

from fastcli.report import evaluation_page
from fastcli.report.evaluation import Evaluation
from fastcli.report.evaluation_groups import groups_of, in_turn
from fastcli.report.evaluation_page import HERE, page, page_data
from fastcli.report.interpret import Interpretation
from fastcli.report.plain_loss import PlainLoss
from fastcli.report.thumbnails import thumbnails
from fastcli.types import TargetInfo

HOSTILE = "</script><img src=x onerror=document.title='owned'>&<!--\u2028'\""
ROWS = [{"epoch": i, "train_loss": 1 / (i + 1), HOSTILE: float("nan") if i == 1 else 0.5, "lr": 0.1} for i in range(3)]


def evaluation(n=60, classes=3, kind="category", size=8):
    random = torch.Generator().manual_seed(0)
    names = (HOSTILE, "__proto__", *(f"class {i}" for i in range(2, classes)))[:classes]
    logits = torch.randn(n, classes, generator=random)
    targets = torch.randint(classes, (n,), generator=random)
    if kind in ("multi_category", "regression"):
        targets = (torch.rand(n, classes, generator=random) > 0.5).float()
    if kind == "mask":
        logits, targets = (
            torch.randn(n, classes, size, size, generator=random),
            targets[:, None, None].expand(-1, size, size),
        )
    info = TargetInfo(kind, classes, () if kind == "regression" else names)
    found = Interpretation.from_arrays(logits, targets, PlainLoss(kind).per_item(logits, targets), info,
                                       names=[f"{HOSTILE}/{i}.jpg" for i in range(n)],
                                       images=torch.rand(n, 3, size, size, generator=random))  # fmt: skip
    return Evaluation(found, {"model": HOSTILE, "data": HOSTILE, "run": HOSTILE, "split": "valid"}, [HOSTILE])


def written(given, **options):
    return page(page_data(given, history=ROWS, best_epoch=2, learner=None, **options))


@pytest.mark.parametrize("kind", ["category", "multi_category", "regression", "mask"])
def test_no_name_becomes_markup(kind, parsed):
    text = written(evaluation(kind=kind))
    found = parsed(text)
    assert sorted(found.tags) == sorted(["html", "head", "meta", "meta", "meta", "title", "style", "body", "main",
                                        "noscript", "script", "script"])  # fmt: skip
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert found.addresses == []
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["kind"] == kind
    assert data["history"]["series"][1] == {"name": HOSTILE, "values": [0.5, None, 0.5]}
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_script_writes_no_html():
    script = (HERE / "evaluation.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", script)


def test_pages_stay_below_5_mb_however_many_pictures_there_are(monkeypatch):
    given = evaluation(n=4000, classes=200, size=96)  # noise, the worst for a JPEG
    monkeypatch.setattr(evaluation_page, "PER_CELL", 1000)
    text = written(given)
    assert 3_000_000 < len(text.encode()) < 5_000_000
    data = page_data(given, history=(), best_epoch=None, learner=None)
    assert len(data["confusion"]["shown"]) == 60
    assert "60 of 200 classes" in data["confusion"]["words"]
    shown = sum(len(group["ids"]) for group in data["groups"].values())
    assert shown < sum(group["total"] for group in data["groups"].values()) == 4000


def test_every_group_gets_a_picture_before_any_gets_two():
    found = evaluation().interpretation
    groups = groups_of(found)
    order = in_turn(groups, 100, first=[7])
    assert order[0] == 7
    assert sorted(order) == list(range(60))
    assert set(order[1:10]) >= {group.items[0] for group in groups.values()} - {7}
    for group in groups.values():
        assert found.losses[group.items].tolist() == sorted(found.losses[group.items].tolist(), reverse=True)
    assert len(in_turn(groups, 2)) <= 18


def test_thumbnails_end_with_the_budget():
    found = evaluation(size=64).interpretation
    assert list(thumbnails(found, [3, 1, 2])) == [3, 1, 2]
    first = len(thumbnails(found, [3])[3])
    assert list(thumbnails(found, [3, 1, 2], budget=first)) == [3]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CLICK = """
<script>
addEventListener("error", event => document.body.dataset.error = event.message);
addEventListener("load", () => {
  const cells = [...document.querySelectorAll("[data-key]")];
  document.body.dataset.cells = cells.length;
  cells[1].dispatchEvent(new MouseEvent("click", { bubbles: true }));
  const images = [...document.querySelectorAll("#chosen img")];
  document.body.dataset.shown = images.length;
  Promise.all(images.map(image => image.decode())).then(() => document.body.dataset.whole = true);
});
</script>"""


def opened(text, tmp_path):
    """The page's elements after a browser has run it, and what it said on the console."""
    (tmp_path / "report.html").write_text(text, "utf-8")
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
               f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000")  # fmt: skip
    done = subprocess.run([CHROMIUM, *options, (tmp_path / "report.html").as_uri()],
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_click_on_a_cell_shows_its_pictures(tmp_path):
    given = evaluation()
    text = re.sub(r"<meta http-equiv.*?>", CLICK, written(given), count=1)  # the policy forbids this test's script
    dom, console = opened(text, tmp_path)
    assert console == []
    assert "data-error" not in dom
    found = dict(re.findall(r'data-(cells|shown|whole)="(\w+)"', re.search("<body[^>]*>", dom)[0]))
    groups = groups_of(given.interpretation)
    assert found == {"cells": str(len(groups)), "shown": found["shown"], "whole": "true"}
    assert int(found["shown"]) in [len(group.items) for group in groups.values()]
    assert "<img src=x" not in dom  # as markup; as text it is there
    assert html.escape(f"{HOSTILE}/", quote=False) in dom


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("kind", ["category", "multi_category", "regression", "mask"])
def test_every_kind_is_drawn_without_a_word_on_the_console(kind, tmp_path):
    dom, console = opened(written(evaluation(n=12, kind=kind)), tmp_path)
    assert console == []
    assert "<title>owned" not in dom
    assert "<h1>" in dom
    assert dom.count("<h2>") >= {"category": 5, "multi_category": 3, "regression": 3, "mask": 4}[kind]
