"""Page reader: the text of one public web page, without a way into the private network.

Every hop's host is resolved once, all its addresses must be public, and the connection goes to the address that was
checked, so neither a redirect nor a second DNS answer leads elsewhere. What a page sends is bounded as it is inflated,
and is parsed in a process that is ended when it takes too long; names and pages wait in threads of their own, so no
page keeps anything else waiting.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit
from weakref import WeakValueDictionary

import httpx
from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec

MAX_BYTES = 1_000_000
MAX_REDIRECTS = 4
READABLE = ("text/", "application/xhtml+xml", "application/xml", "application/json")
PARSE_S = 5.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # all that is given out of IPv6; elsewhere is nothing, or a network's own
_NOT_PUBLIC = [  # that ``is_global`` of this Python takes as public
    ipaddress.ip_network(net)
    for net in (
        "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32",  # protocol assignments, 6to4 relays, Azure's host
        "3fff::/20",
    )
]  # fmt: skip
_ISATAP = 0x5EFE  # in front of the IPv4 address that an IPv6 address of any network leads to
_INFLATED = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16}  # by coding, how zlib is to read it
_names = ThreadPoolExecutor(8, thread_name_prefix="page-name")
_parsers = ThreadPoolExecutor(2, thread_name_prefix="page-parser")
Resolve = Callable[[str, int], Awaitable[list[str]]]


class PageArgs(BaseModel):
    """Which page."""

    url: str = Field(min_length=8, max_length=2_000, description="http or https address of the page")


async def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a host; raises ToolFault when it has none."""
    try:
        found = await asyncio.get_running_loop().run_in_executor(
            _names, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
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
        wrapped = _wrapped(ip)
        if wrapped is not None:
            return is_public(str(wrapped))
        if ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in net for net in _NOT_PUBLIC)


def _wrapped(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that this one leads to, if any."""
    if ip in _NAT64 or int(ip) >> 32 & 0xFDFFFFFF == _ISATAP:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


class PageReader:
    """Reads pages; ``transport`` and ``resolve`` are the network, and may be replaced."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolve_host,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = 10.0,
        max_bytes: int = MAX_BYTES,
        parse_s: float = PARSE_S,
    ) -> None:
        self._resolve, self._transport = resolve, transport
        self._timeout_s, self._max_bytes, self._parse_s = timeout_s, max_bytes, parse_s
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by user

    async def read(self, url: str, user_id: str = "") -> str:
        """The page's readable text, title first; raises ToolFault for what may not or cannot be read.

        Of one user's pages one is parsed at a time, so that those of others find a parser.
        """
        # an environment's proxy would resolve the host again, and so undo the check
        async with httpx.AsyncClient(transport=self._transport, timeout=self._timeout_s, trust_env=False) as client:
            for _ in range(MAX_REDIRECTS + 1):
                try:
                    body, location, kind = await self._fetch(client, url)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise ToolFault(f"The page cannot be read ({type(error).__name__}).", transient=True) from error
                if location is None:
                    return await self._text(body, kind, user_id)
                url = _joined(url, location)
        raise ToolFault(f"The page redirects more than {MAX_REDIRECTS} times.")

    async def _fetch(self, client: httpx.AsyncClient, url: str) -> tuple[bytes, str | None, str]:
        """One hop: the body, or where it redirects to, and the content type."""
        target, host = await self._checked(url)
        request = client.build_request(
            "GET",
            target,
            headers={
                "Host": host,
                "User-Agent": "PersonaAgent page reader",
                "Accept": "text/*",
                "Accept-Encoding": "gzip",
            },
        )
        request.extensions["sni_hostname"] = _ascii(urlsplit(url).hostname or "")
        response = await client.send(request, stream=True)
        try:
            kind = response.headers.get("content-type", "text/html").lower()
            if response.is_redirect:
                if "location" not in response.headers:
                    raise ToolFault("The page redirects to nowhere.")
                return b"", response.headers["location"], kind
            if response.is_error:
                raise ToolFault(f"The page answers {response.status_code}.", transient=response.status_code >= 500)
            if not kind.startswith(READABLE):
                raise ToolFault(f"The page is {kind.split(';')[0]}, which cannot be read as text.")
            return await self._body(response), None, kind
        finally:
            await response.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        """The body up to ``max_bytes``, inflated no further than that; raises ToolFault for other codings."""
        coding = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
        if coding != "identity" and coding not in _INFLATED:
            raise ToolFault(f"The page is packed as {coding[:40]!r}, which is not read.")
        inflate = zlib.decompressobj(_INFLATED[coding]) if coding in _INFLATED else None
        body = bytearray()
        async for chunk in response.aiter_raw():
            left = self._max_bytes - len(body)
            try:
                body += inflate.decompress(chunk, left) if inflate else chunk[:left]
            except zlib.error as error:
                raise ToolFault("The page is not packed as it says.") from error
            if len(body) >= self._max_bytes:
                break
        return bytes(body)

    async def _text(self, body: bytes, kind: str, user_id: str) -> str:
        """The readable text of a body; raises ToolFault for HTML that takes too long or too much memory."""
        if "html" not in kind:
            return body.decode("utf-8", errors="replace").strip()
        async with self._turns.setdefault(user_id, asyncio.Lock()):
            told = await asyncio.get_running_loop().run_in_executor(_parsers, _parse, body, self._parse_s)
        if told is None:
            raise ToolFault("The page is too tangled to be read.")
        return told or "The page has no text."

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
        host = _ascii(host)
        addresses = await self._resolve(host, port)
        if not addresses or not all(is_public(address) for address in addresses):
            raise ToolFault("This address is private or local: only public pages can be read.")
        pinned, name = _bracketed(addresses[0]), _bracketed(host)
        address = urlunsplit((parts.scheme, f"{pinned}:{port}", parts.path or "/", parts.query, ""))
        return address, f"{name}:{parts.port}" if parts.port else name


def _parse(html: bytes, timeout_s: float) -> str | None:
    """What ``tools.readable`` makes of it, in a process of its own; None where it had to be ended or failed."""
    program = [sys.executable, "-I", str(Path(__file__).with_name("readable.py"))]
    try:
        done = subprocess.run(program, input=html, capture_output=True, timeout=timeout_s, check=True, env={})  # noqa: S603
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.decode("utf-8", "replace")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise ToolFault("The page redirects to what is not a web address.") from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _ascii(host: str) -> str:
    """The host as it is asked for on the wire; raises ToolFault."""
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise ToolFault(f"{host[:80]!r} is not the name of a host.") from error


def page_tool(reader: PageReader) -> ToolSpec:
    """The tool over a reader."""

    async def run(call: ToolCall) -> str:
        return await reader.read(str(call.arguments["url"]), call.user_id)

    return ToolSpec(
        name="page",
        description="Read the text of a public web page.",
        args=PageArgs,
        run=run,
        scopes=frozenset({"network"}),
        outward=True,
        timeout_s=30.0,
        retries=1,
        cost=1.0,
    )
