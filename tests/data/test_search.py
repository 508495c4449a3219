"""`fastcli data search` with a provider from a plugin, against a server that can break, lie and stall."""

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastcli.cli import run
from fastcli.errors import DataError, UsageError
from fastcli.registry import image_searches
from fastcli.survey.gather import Limits, Refused, gather, grab
from fastcli.survey.image_search import Hit, bing

PLUGIN = """
import json
from pathlib import Path
from fastcli.registry import image_searches
from fastcli.survey.image_search import Hit

@image_searches(name=Path(__file__).stem)
def listed(query, count, /, reverse: bool = False) -> list[Hit]:
    "Addresses in a file."
    urls = json.loads((Path(__file__).parent / "urls.json").read_text())
    return [Hit(url, f"page of {query}") for url in (reversed(urls) if reverse else urls)][:count]
"""


def picture(seed, size=(96, 80), kind="JPEG"):
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    raw = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(raw, kind)
    return raw.getvalue()


@pytest.fixture
def name(request):
    return f"search_{request.node.name.replace('[', '_').replace(']', '')}"


@pytest.fixture
def fastcli(fastcli, place, name):
    """Searches among given addresses."""
    Path(f"{name}.py").write_text(PLUGIN)

    def search(urls, *arguments):
        Path("urls.json").write_text(json.dumps(urls))
        return fastcli("data", "search", "Grizzly bear", "--plugin", f"{name}.py", "--provider", name, *arguments)

    yield search
    image_searches._components.pop(name, None)


def test_good_pictures_are_kept_and_all_others_have_a_reason(fastcli, web):
    smaller = Image.open(io.BytesIO(picture(0))).resize((70, 64))
    raw = io.BytesIO()
    smaller.save(raw, "PNG")
    web.files = {
        "a.jpg": picture(0), "b": picture(1, kind="PNG"), "same.jpg": picture(0), "smaller.png": raw.getvalue(),
        "page.jpg": b"<html>gone", "cut.jpg": picture(2)[:900], "tiny.png": picture(3, size=(20, 20)),
        "large.jpg": picture(4) + bytes(40_000), "été 1.webp": picture(5, kind="WEBP"),
        "draw.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "%C3%A9t%C3%A9%201.webp": picture(5, kind="WEBP"),
    }  # fmt: skip
    names = ["a.jpg", "b", "same.jpg", "smaller.png", "page.jpg", "cut.jpg", "tiny.png", "large.jpg", "été 1.webp",
             "draw.svg", "nowhere.jpg"]  # fmt: skip
    odd = ["file:///etc/passwd", "ftp://example.org/a.jpg"]
    code, out, err = fastcli([*map(web.url, names), *odd], "-o", "bears/grizzly", "--max-mb", "0.03", "--json",
                             "--workers", "1")  # fmt: skip
    found = json.loads(out)
    assert code == 0, err
    assert sorted(Path(file).suffix for file in found["files"]) == [".jpg", ".png", ".webp"]
    assert all(file.startswith("grizzly-bear-") for file in found["files"])
    reasons = {url.removeprefix(web.base + "/"): reason for url, reason in found["failed"].items()}
    assert reasons.pop("cut.jpg").startswith("corrupt or truncated")
    assert reasons.pop("large.jpg").endswith("bytes, and 31,457 are allowed")
    assert reasons == {
        "page.jpg": "is an HTML page, not a picture", "tiny.png": "is 20 x 20 pixels",
        "draw.svg": "is an SVG drawing, not a picture", "nowhere.jpg": "the server answered 404 Not Found",
        "file:///etc/passwd": "is neither http nor https", "ftp://example.org/a.jpg": "is neither http nor https",
    }  # fmt: skip
    assert set(found["duplicates"]) == {web.url("same.jpg"), web.url("smaller.png")}
    rows = Path("bears/grizzly/sources.csv").read_text().splitlines()
    assert rows[0] == "file,url,page"
    assert len(rows) == 4
    assert rows[1].endswith("/a.jpg,page of Grizzly bear")
    assert web.agents[0].startswith("Mozilla/5.0 (fastcli/")


def test_no_more_than_wanted_and_a_second_search_adds_others(fastcli, web):
    web.files = {f"{i}.jpg": picture(i) for i in range(8)}
    urls = [web.url(f"{i}.jpg") for i in range(8)]
    code, out, err = fastcli(urls, "-o", "bears/grizzly", "-n", "3", "--workers", "2")
    assert (code, out) == (0, "3 new pictures in bears/grizzly\n")
    assert len(web.requests) == 3
    assert "next: look through bears/grizzly, then fastcli init bears" in err
    first = set(Path("bears/grizzly").glob("*.jpg"))
    code, out, _ = fastcli(urls, "reverse=true", "-o", "bears/grizzly", "-n", "6")
    assert out == "5 new pictures in bears/grizzly\n"
    assert len(set(Path("bears/grizzly").glob("*.jpg")) - first) == 5
    assert len(Path("bears/grizzly/sources.csv").read_text().splitlines()) == 9


def test_which_failed_is_said_when_asked(fastcli, web):
    code, out, err = fastcli([web.url("none.jpg?token=1")], "-o", "x", "-v")
    assert (code, out) == (3, "0 new pictures in x\n")
    assert f"{web.url('none.jpg')}: the server answered 404 Not Found" in err
    assert "token" not in err
    assert "none of the 1 pictures of 'Grizzly bear' could be had" in err
    assert "1 failed" in fastcli([web.url("none.jpg")], "-o", "x")[2]


def test_mistakes(fastcli, web, capsys, name):
    code, _, err = fastcli([], "-o", "x")
    assert (code, f"{name} finds no pictures of 'Grizzly bear'" in err) == (3, True)
    assert fastcli([], "-o", "x", "revers=1")[0] == 2
    assert "did you mean 'reverse'?" in fastcli([], "-o", "x", "revers=1")[2]
    assert "put a query of several words in quotes" in fastcli([], "bear", "-o", "x")[2]
    assert "missing option '-o'\nhint: such as -o data/grizzly-bear" in fastcli([])[2]
    assert run(["data", "search", "x", "-o", "x", "--provider", "bng"]) == 2
    assert "did you mean 'bing'?" in capsys.readouterr().err
    assert run(["data", "search", "x", "-o", "x", "--plugin", "none.py"]) == 2
    Path("broken_search.py").write_text("1 / 0")
    assert run(["data", "search", "x", "-o", "x", "--plugin", "broken_search.py"]) == 2
    assert "plugin broken_search.py: ZeroDivisionError" in capsys.readouterr().err


def test_a_server_that_stalls_or_never_ends_is_left(web):
    web.files["a.jpg"] = picture(0)
    web.hold = threading.Event()
    with pytest.raises(Refused, match="timed out"):
        grab(web.url("a.jpg"), Limits(seconds=0.1))
    web.hold.set()
    web.lengths = False
    with pytest.raises(Refused, match="has more than 500 bytes"):
        grab(web.url("a.jpg"), Limits(bytes=500))
    with pytest.raises(Refused, match="took more than|timed out"):
        grab(web.url("a.jpg"), Limits(seconds=0.0001))
    web.lengths, web.cuts = True, [300]
    with pytest.raises(Refused):
        grab(web.url("a.jpg"), Limits())
    web.redirects["r.jpg"] = "file:///etc/passwd"
    with pytest.raises(Refused, match="the server answered 302"):
        grab(web.url("r.jpg"), Limits())


def test_what_is_in_the_folder_counts_as_seen(tmp_path, web):
    (tmp_path / "mine.png").write_bytes(picture(0, kind="PNG"))
    (tmp_path / "broken.jpg").write_text("no")
    web.files = {"a.jpg": picture(0), "b.jpg": picture(1)}
    found = gather([Hit(web.url("a.jpg")), Hit(web.url("b.jpg"))], tmp_path, "x", 5)
    assert found.duplicates == {web.url("a.jpg"): "mine.png"}
    assert len(found.files) == 1


def test_bing_asks_page_after_page_with_the_key_from_the_environment(web, monkeypatch):
    monkeypatch.setenv("SERPAPI_API_KEY", "s3cret")
    asked = []
    pages = [
        [{"original": f"http://x/{i}.jpg", "link": "http://x"} for i in range(start, start + 3)] for start in (0, 2)
    ]

    def answer(endpoint, given):
        asked.append(given)
        return {"images_results": pages[len(asked) - 1] if len(asked) <= 2 else []}

    monkeypatch.setattr("fastcli.survey.image_search._answer", answer)
    hits = bing("bear", 100)
    assert [hit.url for hit in hits] == [f"http://x/{i}.jpg" for i in range(5)]
    assert [given["first"] for given in asked] == [1, 4, 7]
    assert {given["api_key"] for given in asked} == {"s3cret"}
    asked.clear()
    assert len(bing("bear", 2)) == 2
    assert len(asked) == 1


def test_bing_over_http_and_its_errors_never_show_the_key(web, monkeypatch):
    monkeypatch.delenv("SERPAPI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="needs a key of SerpAPI in SERPAPI_API_KEY"):
        bing("bear", 1)
    monkeypatch.setenv("SERPAPI_API_KEY", "s3cret")
    web.files["s"] = json.dumps({"images_results": [{"original": "http://x/1.jpg"}]}).encode()
    assert bing("bear", 5, endpoint=web.url("s")) == [Hit("http://x/1.jpg")]
    web.files["s"] = json.dumps({"error": "Invalid API key s3cret."}).encode()
    for make in (lambda: None, lambda: web.statuses.append(401), lambda: web.files.update(s=b"{")):
        make()
        with pytest.raises(DataError) as caught:
            bing("bear", 5, endpoint=web.url("s"))
        assert "s3cret" not in str(caught.value)
    with pytest.raises(UsageError, match="neither http nor https"):
        bing("bear", 5, endpoint="file:///etc/passwd")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ddgs", None)
    with pytest.raises(UsageError, match="image search needs ddgs") as caught:
        image_searches.build("ddgs", "bear", 3)
    assert "pip install 'fastcli[search]'" in str(caught.value)


def test_ddgs_is_asked_page_after_page(monkeypatch):
    import sys
    from types import ModuleType

    asked = []

    class DDGSException(Exception):
        pass

    class DDGS:
        def images(self, query, **options):
            asked.append((query, options))
            if options["page"] == 3:
                raise DDGSException("No results found.")
            return [{"image": f"http://x/{options['page']}{i}.jpg", "url": "http://x"} for i in range(4)]

    package, errors = ModuleType("ddgs"), ModuleType("ddgs.exceptions")
    package.DDGS, errors.DDGSException = DDGS, DDGSException
    monkeypatch.setitem(sys.modules, "ddgs", package)
    monkeypatch.setitem(sys.modules, "ddgs.exceptions", errors)
    hits = image_searches.build("ddgs", "bear", 20, safe="off", size="Large")
    assert len(hits) == 8
    assert asked[0] == ("bear", {"region": "us-en", "safesearch": "off", "backend": "auto", "max_results": 100,
                                 "page": 1, "size": "Large"})  # fmt: skip
    assert len(image_searches.build("ddgs", "bear", 5)) == 5
