"""Page reader: the text of one public web page, without a way into the private network.

Every hop's host is resolved once, all its addresses must be public, and the connection goes to the address that was
checked, so neither a redirect nor a second DNS answer leads elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urljoin, urlsplit

import httpx
from pydantic import BaseModel, Field

from tools.spec import ToolCall, ToolFault, ToolSpec

MAX_BYTES = 1_000_000
MAX_REDIRECTS = 4
READABLE = ("text/", "application/xhtml+xml", "application/xml", "application/json")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Resolve = Callable[[str, int], Awaitable[list[str]]]


class PageArgs(BaseModel):
    """Which page."""

    url: str = Field(min_length=8, max_length=2_000, description="http or https address of the page")


async def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a host; raises ToolFault when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ToolFault(f"The host {host!r} cannot be found, or there is no network.", transient=True) from error
    return [str(info[4][0]) for info in found]


def is_public(address: str) -> bool:
    """Whether the address lies in the public internet, also when it wraps an IPv4 address."""
    try:
        ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if wrapped is None and ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    return ip.is_global and not ip.is_multicast


class PageReader:
    """Reads pages; ``transport`` and ``resolve`` are the network, and may be replaced."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolve_host,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = 10.0,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._resolve, self._transport = resolve, transport
        self._timeout_s, self._max_bytes = timeout_s, max_bytes

    async def read(self, url: str) -> str:
        """The page's readable text, title first; raises ToolFault for what may not or cannot be read."""
        # an environment's proxy would resolve the host again, and so undo the check
        async with httpx.AsyncClient(transport=self._transport, timeout=self._timeout_s, trust_env=False) as client:
            for _ in range(MAX_REDIRECTS + 1):
                try:
                    body, location, kind = await self._fetch(client, url)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise ToolFault(f"The page cannot be read ({type(error).__name__}).", transient=True) from error
                if location is None:
                    return await asyncio.to_thread(_text, body, kind)
                url = urljoin(url, location)
        raise ToolFault(f"The page redirects more than {MAX_REDIRECTS} times.")

    async def _fetch(self, client: httpx.AsyncClient, url: str) -> tuple[bytes, str | None, str]:
        """One hop: the body, or where it redirects to, and the content type."""
        target, host = await self._checked(url)
        request = client.build_request(
            "GET", target, headers={"Host": host, "User-Agent": "PersonaAgent page reader", "Accept": "text/*"}
        )
        request.extensions["sni_hostname"] = urlsplit(url).hostname or ""
        response = await client.send(request, stream=True)
        try:
            kind = response.headers.get("content-type", "text/html").lower()
            if response.is_redirect:
                return b"", response.headers["location"], kind
            if response.is_error:
                raise ToolFault(f"The page answers {response.status_code}.", transient=response.status_code >= 500)
            if not kind.startswith(READABLE):
                raise ToolFault(f"The page is {kind.split(';')[0]}, which cannot be read as text.")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= self._max_bytes:
                    break
            return bytes(body[: self._max_bytes]), None, kind
        finally:
            await response.aclose()

    async def _checked(self, url: str) -> tuple[str, str]:
        """The address to connect to, pinned to a checked IP, and the Host header; raises ToolFault."""
        try:
            parts = urlsplit(url)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
            host = parts.hostname
        except ValueError as error:
            raise ToolFault(f"{url[:80]!r} is not a web address.") from error
        if parts.scheme not in {"http", "https"} or not host:
            raise ToolFault("Only http and https addresses of public pages can be read.")
        if parts.username or parts.password:
            raise ToolFault("Addresses with a user name or password are not read.")
        addresses = await self._resolve(host, port)
        if not addresses or not all(is_public(address) for address in addresses):
            raise ToolFault("This address is private or local: only public pages can be read.")
        pinned = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        name = f"[{host}]" if ":" in host else host
        suffix = f"?{parts.query}" if parts.query else ""
        return f"{parts.scheme}://{pinned}:{port}{parts.path or '/'}{suffix}", (
            f"{name}:{parts.port}" if parts.port else name
        )


def _text(body: bytes, kind: str) -> str:
    """The readable text of a body; bs4 finds the charset of HTML itself."""
    if "html" not in kind:
        return body.decode("utf-8", errors="replace").strip()
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(body, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for node in soup(["script", "style", "noscript", "template", "nav", "header", "footer", "form", "title"]):
        node.decompose()
    main = soup.find("main") or soup.find("article") or soup.body or soup
    lines = (" ".join(line.split()) for line in main.get_text("\n").splitlines())
    return "\n".join([title, *(line for line in lines if line)]).strip() or "The page has no text."


def page_tool(reader: PageReader) -> ToolSpec:
    """The tool over a reader."""

    async def run(call: ToolCall) -> str:
        return await reader.read(str(call.arguments["url"]))

    return ToolSpec(
        name="page",
        description="Read the text of a public web page.",
        args=PageArgs,
        run=run,
        scopes=frozenset({"network"}),
        timeout_s=30.0,
        retries=1,
        cost=1.0,
    )
