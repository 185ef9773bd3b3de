"""Page reader, web search and live Wikipedia without a network: no way into the private one."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from personaagent.tools.page import PageReader, is_public, page_tool
from personaagent.tools.spec import ToolCall, ToolFault
from personaagent.tools.web_search import web_search_tool
from personaagent.tools.wikipedia import LiveWikipedia

PUBLIC = "93.184.216.34"
HOSTS = {
    "site.example": [PUBLIC],
    "many.example": [PUBLIC],
    "evil.example": ["10.0.0.5"],
    "mixed.example": [PUBLIC, "127.0.0.1"],
}


async def resolve(host: str, port: int) -> list[str]:
    return HOSTS.get(host, [host])


def reader(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> PageReader:
    def over_the_wire(request: httpx.Request) -> httpx.Response:
        told = handler(request)
        body = told.stream if not told.is_stream_consumed else httpx.ByteStream(told.content)
        return httpx.Response(told.status_code, headers=told.headers, stream=body)

    return PageReader(resolve=resolve, transport=httpx.MockTransport(over_the_wire), **options)


def never(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"connected to {request.url}")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
     "::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::", "localhost", "",
     "192.0.0.192", "168.63.129.16", "192.88.99.1", "fec0::1", "64:ff9b:1::1", "64:ff9b:1::a00:1", "::10.0.0.1",
     "::7f00:1", "::ffff:0:7f00:1", "3fff::1", "5f00::1", "100:0:0:1::1", "4000::1", "200::1", "400::7f00:1", "e000::1",
     "64:ff9b:0:0:0:1:808:808", "2001:470::5efe:7f00:1", "2001:470::200:5efe:a00:1"],
)  # fmt: skip
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_public_addresses_are_public() -> None:
    assert is_public(PUBLIC) and is_public("2606:4700::1111") and is_public("64:ff9b::808:808")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://[::1]:8080/", "http://169.254.169.254/latest", "https://evil.example/",
     "https://mixed.example/", "file:///etc/passwd", "ftp://site.example/", "http://u:p@site.example/", "http://",
     "http://site.example:99999/", "http://[::1"],
)  # fmt: skip
async def test_private_and_odd_addresses_are_refused_before_any_connection(url: str) -> None:
    with pytest.raises(ToolFault):
        await reader(never).read(url)


@pytest.mark.parametrize("target", ["http://127.0.0.1/admin", "//evil.example/", "file:///etc/passwd"])
async def test_a_redirect_into_the_private_network_is_refused(target: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.host == PUBLIC
        return httpx.Response(302, headers={"location": target})

    with pytest.raises(ToolFault, match="public pages"):
        await reader(handler).read("http://site.example/")


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert (request.url.host, request.headers["host"]) == (PUBLIC, "site.example")
        assert request.extensions["sni_hostname"] == "site.example"
        if request.url.path == "/old":
            return httpx.Response(301, headers={"location": "/new?x=1"})
        assert str(request.url).endswith("/new?x=1")
        html = "<title>T</title><nav>menu</nav><script>bad()</script><p>Hello <b>world</b></p>"
        return httpx.Response(200, html=html)

    text = await reader(handler).read("https://site.example/old")
    assert text.splitlines()[0] == "T"
    assert "Hello" in text and "bad()" not in text and "menu" not in text


def packed(times: int, size: int) -> bytes:
    """``size`` bytes of spaces, compressed so many times."""
    body = b" " * size
    for _ in range(times):
        body = gzip.compress(body)
    return body


def answer(body: bytes, **headers: str) -> httpx.Response:
    told = {"content-type": "text/html"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers=told, stream=httpx.ByteStream(body))


@pytest.mark.parametrize("coding", ["gzip, gzip", "deflate", "br", "zstd", "gzip;q=1", "compress"])
async def test_a_page_is_unpacked_once_and_by_one_coding_only(coding: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "gzip"
        return answer(packed(2, 1_000), content_encoding=coding)

    with pytest.raises(ToolFault, match="packed as"):
        await reader(handler).read("http://site.example/")


async def test_a_page_is_inflated_no_further_than_its_limit() -> None:
    bomb = packed(1, 200_000_000)
    assert len(bomb) < 250_000
    tracemalloc.start()
    try:
        text = await reader(lambda r: answer(bomb, content_encoding="gzip", content_type="text/plain")).read(
            "http://site.example/"
        )
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert text == ""
    told = await reader(lambda r: answer(gzip.compress(b"<p>Hello"), content_encoding="gzip")).read(
        "http://site.example/"
    )
    assert told == "Hello"
    with pytest.raises(ToolFault, match="not packed as it says"):
        await reader(lambda r: answer(b"<p>plain", content_encoding="gzip")).read("http://site.example/")


@pytest.mark.parametrize("piece", ["<!--", "<![CDATA[", "</", "<?", "<a"])
async def test_html_that_a_parser_never_ends_with_is_given_up_and_keeps_nobody_waiting(piece: str) -> None:
    hostile = (piece * (1_000_000 // len(piece))).encode()
    slow = reader(lambda r: answer(hostile), parse_s=1.0)
    reading = [asyncio.create_task(slow.read("http://site.example/")) for _ in range(2)]
    # the pool that everything else shares is free meanwhile, with more reads under way than it has threads
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 60) == "free"
    for read in reading:
        with pytest.raises(ToolFault, match="too tangled"):
            await read


async def test_one_user_who_reads_many_tangled_pages_leaves_a_parser_to_the_others() -> None:
    hostile = answer(b"<!--" * 250_000)
    pages = page_tool(reader(lambda r: hostile if "many" in r.headers["host"] else answer(b"<p>tea</p>"), parse_s=3.0))

    async def read(user: str, host: str) -> str:
        return await pages.run(ToolCall(user_id=user, arguments={"url": f"http://{host}/"}))

    greedy = [asyncio.create_task(read("mallory", "many.example")) for _ in range(6)]
    await asyncio.sleep(0.2)
    assert await asyncio.wait_for(read("ann", "site.example"), 3.0) == "tea"
    for one in greedy:
        one.cancel()


@pytest.mark.parametrize("status", [301, 302, 304, 308])
async def test_a_redirect_that_names_no_place_is_a_fault_of_the_page(status: int) -> None:
    with pytest.raises(ToolFault):
        await reader(lambda r: httpx.Response(status)).read("http://site.example/")


@pytest.mark.parametrize(
    "url", ["http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", "http://ⓛocalhost/", "http://" + "ä" * 80 + ".example/"]
)
async def test_a_host_in_other_letters_is_the_host_that_it_stands_for(url: str) -> None:
    with pytest.raises(ToolFault):
        await reader(never).read(url)


async def test_endless_redirects_and_huge_and_binary_pages_end() -> None:
    with pytest.raises(ToolFault, match="redirects more"):
        await reader(lambda r: httpx.Response(302, headers={"location": "/"})).read("http://site.example/")
    big = reader(lambda r: httpx.Response(200, text="x" * 5_000), max_bytes=1_000)
    assert len(await big.read("http://site.example/")) == 1_000
    with pytest.raises(ToolFault, match="image/png"):
        await reader(lambda r: httpx.Response(200, headers={"content-type": "image/png"})).read("http://site.example/")
    with pytest.raises(ToolFault, match="404"):
        await page_tool(reader(lambda r: httpx.Response(404))).run(
            ToolCall(user_id="ann", arguments={"url": "http://site.example/"})
        )


async def test_web_search_lists_results_and_says_when_it_cannot() -> None:
    async def ask(handler: Callable[[httpx.Request], httpx.Response]) -> str:
        tool = web_search_tool("http://searx.local/", transport=httpx.MockTransport(handler))
        return await tool.run(ToolCall(user_id="ann", arguments=tool.check({"query": "tea", "k": 1})))

    def found(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {"q": "tea", "format": "json"}
        return httpx.Response(200, json={"results": [{"title": "Tea", "url": "u", "content": None}, {"title": "B"}]})

    assert (await ask(found)).startswith("- Tea (u)") and "B" not in await ask(found)
    with pytest.raises(ToolFault, match="cannot be reached"):
        await ask(lambda r: httpx.Response(503))
    with pytest.raises(ToolFault, match="JSON"):
        await ask(lambda r: httpx.Response(200, text="<html>"))


@pytest.mark.filterwarnings("ignore")
async def test_live_wikipedia_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests
    import wikipedia

    def offline(*args: Any, **options: Any) -> None:
        raise requests.exceptions.ConnectionError("no route")

    monkeypatch.setattr(wikipedia, "search", offline)
    with pytest.raises(ToolFault, match="cannot be reached") as caught:
        await LiveWikipedia()("tea")
    assert caught.value.transient
