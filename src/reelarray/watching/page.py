"""The page of the latest pictures: plain files for any web server, and a small one to serve them."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import shutil
import socket
import threading
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import SettingError
from ..sinks.atomic import writing

log = logging.getLogger(__name__)

FILES = ("index.html", "page.css", "page.js")
STATUS = "status.json"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MOST = 32  # connections at one time
PATIENCE = 10.0  # seconds that a connection may say nothing, or take nothing


def write_page(folder: str | os.PathLike[str]) -> Path:
    """Put the files of the page into a folder, and return the path of its index.html.

    They show what ``status.json`` beside them says, and look at it again every few seconds.

    >>> import tempfile
    >>> write_page(tempfile.mkdtemp()).name
    'index.html'
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        content = resources.files(__package__).joinpath("static", name).read_bytes()
        path = target / name
        if not path.is_file() or path.read_bytes() != content:
            with writing(path) as temporary:
                temporary.write_bytes(content)
    return target / "index.html"


def parse_address(text: str | int) -> tuple[str, int]:
    """[HOST:]PORT -> (host, port); this machine alone unless a host is given.

    Raises
    ------
    SettingError : no port between 0 and 65535, which is any free one

    >>> parse_address("8050"), parse_address("0.0.0.0:80"), parse_address("[::1]:8050")
    (('127.0.0.1', 8050), ('0.0.0.0', 80), ('::1', 8050))
    """
    host, _, port = str(text).rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or (":" in host and host[:1] + host[-1:] != "[]"):
        raise SettingError(
            f"{str(text)!r} was given as an address; [HOST:]PORT was expected, such as 8050 or [::]:8050"
        )
    return host.strip("[]") or "127.0.0.1", int(port)


class PageServer:
    """Serves the page of a folder, to this machine alone unless told otherwise.

    Only what the page needs is served: its files, `status.json`, and pictures (.png) in the folder and below; nothing
    hidden, nothing that a link leads out of the folder to, and no list of files. It asks for no password: to show the
    page to others, take a host of a network that you trust, or let a web server of your own serve the folder.

    Parameters
    ----------
    folder : of the page; its files are put there
    address : [HOST:]PORT, or (host, port); port 0 takes a free one
    status : the file that is served as `status.json`, where that is not in the folder

    Raises
    ------
    SettingError : an address that cannot be, or is in use

    >>> import tempfile, urllib.request
    >>> with PageServer(tempfile.mkdtemp(), "0") as server:
    ...     urllib.request.urlopen(server.url).status
    200
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        address: str | int | tuple[str, int],
        *,
        status: str | os.PathLike[str] | None = None,
    ) -> None:
        host, port = address if isinstance(address, tuple) else parse_address(address)
        write_page(folder)
        root = Path(folder).resolve()
        handler = partial(_Handler, root=root, status=Path(status) if status is not None else root / STATUS)
        try:
            self._server = _Server((host, port), handler)
        except (OSError, OverflowError) as error:
            what = "is in use" if getattr(error, "errno", None) == errno.EADDRINUSE else f"cannot be served ({error})"
            raise SettingError(f"{host}:{port} {what}; pass another [HOST:]PORT, or 0 for a free port") from error
        if not _is_loopback(host):
            log.warning("the page is served to the network on %s without a password", host or "all interfaces")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="page", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/"

    def stop(self) -> None:
        """Answer no more; returns at once, whatever connections are open."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> PageServer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(ThreadingHTTPServer):
    """A thread for each connection, and so many of them at most."""

    daemon_threads = True
    block_on_close = False  # a browser that keeps a connection open keeps nobody from stopping

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self._free = threading.BoundedSemaphore(MOST)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Without the look-up of the host's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a connection of %s ended early", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One request: GET or HEAD of a file of the page."""

    server_version, sys_version = "reelarray", ""
    timeout = PATIENCE

    def __init__(self, *args: Any, root: Path, status: Path) -> None:
        self.root, self.status = root, status
        super().__init__(*args)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        path = self._path()
        try:
            file = None if path is None else open(path, "rb")  # noqa: SIM115 - closed below
        except OSError:
            file = None
        if file is None or path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            size = os.fstat(file.fileno()).st_size  # files are replaced, not changed: this one stays as it is
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", _KINDS[path.suffix])
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if body:
                shutil.copyfileobj(file, self.wfile)

    def _path(self) -> Path | None:
        """The file that a request is about, or None where there is none that may be served."""
        parts = unquote(urlsplit(self.path).path).split("/")[1:]
        if parts == [""]:
            parts = ["index.html"]
        if not parts or any(not part or part.startswith(".") or "\\" in part or "\0" in part for part in parts):
            return None
        if parts == [STATUS]:
            return self.status if self.status.is_file() else None
        if parts[-1] not in FILES and not parts[-1].endswith(".png"):
            return None
        if parts[-1] in FILES and len(parts) > 1:
            return None
        try:
            path = self.root.joinpath(*parts).resolve()
            return path if path.is_relative_to(self.root) and path.is_file() and path.suffix in _KINDS else None
        except (OSError, ValueError, RuntimeError):  # names that are too long, links in a circle
            return None

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s: %s", self.client_address[0], format % args)
