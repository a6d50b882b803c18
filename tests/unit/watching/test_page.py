"""The server of the page: what belongs to it, and nothing else; it stops whoever is connected."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelarray.errors import SettingError
from reelarray.watching import page
from reelarray.watching.page import PageServer, parse_address, write_page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "www"
    (root / "deep").mkdir(parents=True)
    (root / ".state").mkdir()
    for name in ("left.png", "deep/run 7#?.tiq.png", ".hidden.png", ".state/x.png", "run7.tiq", "run7.tiq.npz"):
        (root / name).write_bytes(name.encode())
    (root / "status.json").write_text("{}")
    (tmp_path / "secret.png").write_text("secret")
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[PageServer]:
    with PageServer(folder, "0") as made:
        yield made


def ask(server: PageServer, path: str, method: str = "GET") -> tuple[int, bytes, http.client.HTTPMessage]:
    host, port = server.url.removeprefix("http://").strip("/").rsplit(":", 1)
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=10)
    try:
        connection.putrequest(method, path, skip_host=False)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/page.js?v=1", "text/javascript"),
        ("/page.css", "text/css"),
        ("/status.json", "application/json"),
        ("/left.png?v=2026-11-20T10:00:00Z", "image/png"),
        ("/deep/run%207%23%3F.tiq.png", "image/png"),
    ],
)
def test_the_page_and_its_pictures_are_served(server: PageServer, path: str, kind: str) -> None:
    status, body, headers = ask(server, path)
    assert (status, headers["Content-Type"].split(";")[0]) == (200, kind)
    assert int(headers["Content-Length"]) == len(body) > 0
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    status, body, head = ask(server, path, "HEAD")
    assert (status, body, head["Content-Length"]) == (200, b"", headers["Content-Length"])


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.png",
        "/%2e%2e/secret.png",
        "/deep/..%2f..%2fsecret.png",
        "/deep/../../secret.png",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/..%5csecret.png",
        "/left.png%00.html",
        "/.hidden.png",
        "/.state/x.png",
        "/deep",
        "/deep/",
        "/run7.tiq",
        "/run7.tiq.npz",
        "/deep/index.html",
        "/nothing.png",
        "/" + "a" * 5000 + ".png",
        "left.png",
        "*",
    ],
)
def test_nothing_else_is(server: PageServer, path: str) -> None:
    status, body, _ = ask(server, path)
    assert status == 404
    assert b"secret" not in body
    assert b"root:" not in body


def test_links_out_of_the_folder_lead_nowhere(server: PageServer, folder: Path) -> None:
    (folder / "out.png").symlink_to(folder.parent / "secret.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    (folder / "in.png").symlink_to(folder / "left.png")
    os.mkfifo(folder / "pipe.png")
    assert [ask(server, f"/{name}.png")[0] for name in ("out", "circle", "pipe", "in")] == [404, 404, 404, 200]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_only_reading_is_allowed(server: PageServer, folder: Path, method: str) -> None:
    assert ask(server, "/left.png", method)[0] == 501
    assert (folder / "left.png").exists()


def test_the_status_may_lie_elsewhere(tmp_path: Path) -> None:
    state = tmp_path / ".state" / "status.json"
    state.parent.mkdir()
    with PageServer(tmp_path / "www", "0", status=state) as server:
        assert ask(server, "/status.json")[0] == 404
        state.write_text('{"service": 1}')
        assert ask(server, "/status.json")[1] == b'{"service": 1}'


def test_files_of_the_page_are_written_once_and_renewed(tmp_path: Path) -> None:
    index = write_page(tmp_path / "www")
    assert sorted(p.name for p in index.parent.iterdir()) == sorted(page.FILES)
    before = index.stat().st_mtime_ns, index.stat().st_ino
    write_page(index.parent)
    assert (index.stat().st_mtime_ns, index.stat().st_ino) == before
    whole = index.read_bytes()
    index.write_bytes(b"old")
    write_page(index.parent)
    assert index.read_bytes() == whole


def test_stops_with_connections_open_and_frees_the_port(folder: Path) -> None:
    server = PageServer(folder, "0")
    host, port = "127.0.0.1", int(server.url.rstrip("/").rsplit(":", 1)[1])
    idle = [socket.create_connection((host, port)) for _ in range(5)]
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 5
    for each in idle:
        each.close()
    with PageServer(folder, (host, port)) as again:
        assert ask(again, "/left.png")[0] == 200


def test_connections_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST", 3)
    with PageServer(folder, "0") as server:
        port = int(server.url.rstrip("/").rsplit(":", 1)[1])
        threads = threading.active_count()
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
        refused = 0
        for each in idle[3:]:
            each.settimeout(10)
            refused += each.recv(1) == b""
        assert refused == 9
        assert threading.active_count() - threads == 3
        for each in idle:
            each.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if ask(server, "/left.png")[0] == 200:
                    break
            except (ConnectionError, http.client.BadStatusLine):
                time.sleep(0.05)
        else:
            pytest.fail("connections that ended are still counted")


@pytest.mark.parametrize("text", ["", "x", "70000", "1.2.3.4:", "host:-1", "::1:80", "a:b:1"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(SettingError, match=r"\[HOST:\]PORT"):
        parse_address(text)


def test_a_port_in_use_is_told(folder: Path) -> None:
    with PageServer(folder, "0") as server, pytest.raises(SettingError, match="is in use"):
        PageServer(folder, server.url.removeprefix("http://").strip("/"))


def test_the_network_is_warned_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with PageServer(folder, "0"):
        assert not caplog.records
    with PageServer(folder, "0.0.0.0:0") as server:
        assert "without a password" in caplog.text
        assert ask(server, "/left.png")[0] == 200
