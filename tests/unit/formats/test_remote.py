"""Files behind a URL: byte ranges, exact and few."""

from __future__ import annotations

import builtins
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fsspec
import numpy as np
import pytest
import riffs

from reelarray import formats
from reelarray.errors import FormatError, MissingPackage, TruncatedFile

RATE = 48000
COUNTS = np.random.default_rng(11).integers(-(2**15), 2**15, 60 * RATE).astype(np.int16)


def wav(counts: np.ndarray, *more: bytes) -> bytes:
    return riffs.riff(riffs.chunk(b"fmt ", riffs.fmt(rate=RATE)), riffs.chunk(b"data", counts.tobytes()), *more)


@dataclass
class Server:
    """Files by path, and what was asked for: (method, path, bytes sent)."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    ranges: bool = True

    @property
    def sent(self) -> int:
        return sum(count for _, _, count in self.asked)


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("aiohttp")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")) if state.ranges else None
            body = content[int(asked[1]) : int(asked[2]) + 1] if asked else content
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(body)))
            if asked:
                self.send_header("Content-Range", f"bytes {asked[1]}-{int(asked[1]) + len(body) - 1}/{len(content)}")
            self.end_headers()
            state.asked.append((self.command, self.path, len(body) if with_body else 0))
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    state.address = f"http://127.0.0.1:{http.server_port}"
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_whole_file_over_http_costs_its_bytes(server: Server) -> None:
    server.files["/x.wav"] = wav(COUNTS)
    header = formats.probe(f"{server.address}/x.wav")
    assert (header.frames, header.modified_ns) == (len(COUNTS), 0)
    assert server.sent <= 65536
    source, step = formats.source(header), 7 * RATE
    pieces = [source.read(start, min(start + step, header.frames)) for start in range(0, header.frames, step)]
    np.testing.assert_array_equal(np.concatenate(pieces), COUNTS)
    assert server.sent <= 1.05 * len(server.files["/x.wav"])
    assert len(server.asked) == 2 + len(pieces)  # its size, its header, and one request a read


def test_an_hour_over_http_in_one_file(server: Server) -> None:
    hour = np.tile(COUNTS, 60)  # 346 MB, which wait in memory only
    server.files["/hour.wav"] = wav(hour)
    header = formats.probe(f"{server.address}/hour.wav")
    source, step = formats.source(header), 600 * RATE
    for start in range(0, header.frames, step):
        np.testing.assert_array_equal(source.read(start, start + step), hour[start : start + step])
    assert server.sent <= 1.05 * len(server.files["/hour.wav"])


def test_metadata_behind_the_samples_takes_one_more_request(server: Server) -> None:
    server.files["/x.wav"] = wav(COUNTS, riffs.chunk(b"LIST", riffs.info({"ICMT": "behind"})))
    header = formats.probe(f"{server.address}/x.wav")
    assert header.metadata["info"] == {"ICMT": "behind"}
    assert [method for method, _, _ in server.asked] == ["HEAD", "GET", "GET"]
    assert server.sent < 70_000


def test_24_bits_and_an_explicit_layout_over_http(server: Server) -> None:
    counts = np.arange(-3000, 3000).reshape(-1, 3)
    server.files["/x.bin"] = b"head" + riffs.pcm(counts, 3, ">")
    header = formats.probe(f"{server.address}/x.bin", "raw", rate=RATE, dtype=">i3", channels=3, offset=4)
    np.testing.assert_array_equal(formats.source(header).read(100, 900), counts[100:900])
    assert server.sent == len(server.files["/x.bin"]) + 800 * 9


def test_a_server_without_ranges_is_refused(server: Server) -> None:
    server.files["/x.wav"] = wav(COUNTS)
    server.ranges = False
    with pytest.raises(FormatError, match=r"x\.wav: 65536 bytes were asked for, \d+ were sent.*download"):
        formats.probe(f"{server.address}/x.wav")


def test_a_file_that_is_not_there_or_became_shorter(server: Server) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.wav: nothing was found"):
        formats.probe(f"{server.address}/gone.wav")
    server.files["/x.wav"] = wav(COUNTS)
    source = formats.source(formats.probe(f"{server.address}/x.wav"))
    server.files["/x.wav"] = server.files["/x.wav"][: 44 + 2 * 1000]
    with pytest.raises(TruncatedFile) as caught:
        source.read(500, 2000)
    assert (caught.value.wanted, caught.value.found) == (1500, 500)


def test_memory_files_look_like_local_ones() -> None:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/deploy/x.wav", wav(COUNTS[:1000]))
    header = formats.probe("memory://deploy/x.wav")
    source = formats.source(header)
    np.testing.assert_array_equal(source.read(0, 1000), COUNTS[:1000])
    np.testing.assert_array_equal(source.read(990, 1000), COUNTS[990:1000])
    with pytest.raises(IndexError, match=r"\[0, 1001\) were asked for"):
        source.read(0, 1001)
    filesystem.pipe_file("/deploy/x.wav", b"")
    with pytest.raises(FormatError, match="0 bytes"):
        formats.probe("memory://deploy/x.wav")
    filesystem.rm("/deploy", recursive=True)


def test_a_missing_backend_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "s3fs":
            raise ImportError(f"No module named {name!r}")
        return ordinary(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackage, match=r's3://.*pip install "reelarray\[remote\]"'):
        formats.probe("s3://bucket/x.wav")


def test_an_unknown_protocol_is_told() -> None:
    with pytest.raises(FormatError, match=r"nosuch://x\.wav.*protocol"):
        formats.probe("nosuch://x.wav")
