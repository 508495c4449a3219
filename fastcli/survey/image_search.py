"""Where pictures of something can be found on the web: each search is a component, and a plugin adds its own.

@image_searches
def my_archive(query, count, /, licence: str = "any") -> list[Hit]:
"Pictures of our own archive."
...
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from fastcli import __version__
from fastcli.errors import DataError, UsageError
from fastcli.registry import image_searches

SERPAPI_KEY = "SERPAPI_API_KEY"
MOST_PAGES = 20
PER_PAGE = 100
TIMEOUT = 30.0
MOST_BYTES = 20 * 2**20
"""Of an answer of a search."""


class Hit(NamedTuple):
    """A picture that was found: its address, and that of the page which shows it."""

    url: str
    page: str = ""


@image_searches
def ddgs(
    query: str, count: int, /, region: str = "us-en", safe: Literal["on", "moderate", "off"] = "moderate",
    engine: str = "auto", size: str | None = None, license: str | None = None,
) -> list[Hit]:  # fmt: skip
    """Pictures that DuckDuckGo and Bing find, without a key; needs the extra `search`."""
    try:
        from ddgs import DDGS
        from ddgs.exceptions import DDGSException
    except ImportError:
        raise UsageError("image search needs ddgs", hint="pip install 'fastcli[search]'") from None
    wanted = {"size": size, "license_image": license}
    options: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}

    def page(number: int) -> list[Hit]:
        try:
            found = DDGS().images(query, region=region, safesearch=safe, backend=engine, max_results=PER_PAGE,
                                  page=number, **options)  # fmt: skip
        except DDGSException as error:
            if number > 1 or "no results" in str(error).lower():
                return []
            raise DataError(f"the search failed: {error}", hint="try again later, or --provider bing") from error
        return [Hit(str(one.get("image") or ""), str(one.get("url") or "")) for one in found]

    return list(_until_enough(page, count))


@image_searches
def bing(
    query: str, count: int, /, safe: Literal["strict", "moderate", "off"] = "moderate", market: str = "en-US",
    endpoint: str = "https://serpapi.com/search.json",
) -> list[Hit]:  # fmt: skip
    """Pictures that Bing finds, asked through SerpAPI with the key in SERPAPI_API_KEY."""
    key = os.environ.get(SERPAPI_KEY)
    if not key:
        raise UsageError(f"the search 'bing' needs a key of SerpAPI in {SERPAPI_KEY}",
                         hint=f"export {SERPAPI_KEY}=…, or --provider ddgs")  # fmt: skip
    asked = {"engine": "bing_images", "q": query, "count": PER_PAGE, "mkt": market, "safeSearch": safe, "api_key": key}
    first = 1

    def page(number: int) -> list[Hit]:
        nonlocal first
        answer = _answer(endpoint, {**asked, "first": first})
        found = answer.get("images_results") or []
        if not found and number == 1 and "error" in answer and "any results" not in str(answer["error"]):
            raise DataError(f"the search failed: {str(answer['error']).replace(key, '…')}")
        first += len(found)
        return [Hit(str(one.get("original") or ""), str(one.get("link") or "")) for one in found]

    return list(_until_enough(page, count))


def _until_enough(page: Callable[[int], list[Hit]], count: int) -> Iterator[Hit]:
    """The hits of one page after the other, each address once, until there are `count` or a page brings none."""
    seen: set[str] = set()
    for number in range(1, MOST_PAGES + 1):
        new = [hit for hit in page(number) if hit.url and hit.url not in seen]
        for hit in new:
            if hit.url not in seen:
                seen.add(hit.url)
                yield hit
                if len(seen) >= count:
                    return
        if not new:
            return


def _answer(endpoint: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The JSON that the search answers; no message shows the key, which is in the address."""
    request = urllib.request.Request(f"{endpoint}?{urlencode(asked)}", headers={"User-Agent": f"fastcli/{__version__}"})
    if request.type not in ("http", "https"):
        raise UsageError(f"the search's endpoint {endpoint} is neither http nor https")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            answer = json.loads(response.read(MOST_BYTES))
    except urllib.error.HTTPError as error:
        error.close()
        hint = f"is the key in {SERPAPI_KEY} right?" if error.code in (401, 403) else None
        raise DataError(f"the search answered {error.code} {error.reason}", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise DataError(f"the search at {endpoint} failed: {reason}", hint="is there a network?") from None
    return answer if isinstance(answer, dict) else {}
