# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""A camera on this machine: its pictures by RTSP (RTP/JPEG in its TCP connection) or by HTTP."""

import base64
import contextlib
import itertools
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

RATE = 50.0  # frames a second
SIZE = (128, 96)  # width, height
_PACKET = 1200  # bytes of RTP
_BITS = 8  # a row of blocks at the top has the frame's number, white for 1


def picture_of(number: int) -> np.ndarray:
    """A picture that shows its number."""
    width, height = SIZE
    picture = np.full((height, width, 3), 90, np.uint8)
    for bit in range(_BITS):
        shade = 255 if number >> bit & 1 else 0
        picture[:16, 16 * bit : 16 * bit + 16] = shade
    return picture


def number_in(picture: np.ndarray) -> int:
    """The number, below 256, of a picture that was coded."""
    middles = picture[8, 8::16].mean(axis=1)
    return sum(int(value > 127) << bit for bit, value in enumerate(middles))


class Camera(socketserver.ThreadingTCPServer):
    """It listens on a port of its own.

    Args:
        lengths: frames of the first connection that plays, of the second, ...; the last of them
            holds for all further ones.
        stalls: after its frames a connection says nothing more, instead of ending.
        password: user:password that RTSP asks for.
        span: seconds that RTSP says that it has.
        file: bytes of /clip.mp4.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        *lengths: float,
        stalls: bool = False,
        password: str = "",
        span: str = "now-",
        file: bytes = b"",
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.lengths = itertools.chain(lengths, itertools.repeat(lengths[-1]))
        self.stalls, self.password, self.span, self.file = stalls, password, span, file
        self.plays = 0  # connections so far
        self.sent: list[float] = []  # when frames of the first one were sent
        self.over = threading.Event()
        self.place = f"127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def camera(*lengths: float, **options: object) -> Iterator[Camera]:
    with Camera(*lengths, **options) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()


class _Connection(socketserver.StreamRequestHandler):
    server: Camera

    def setup(self) -> None:
        super().setup()
        self.packets = itertools.count()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while request := self._request():
                method, address = request[0].split()[:2]
                if method == "GET":
                    self._get(address)
                    return
                self._rtsp(method, address, request)
                if method == "PLAY":
                    self._play(self._send_rtp)
                    return

    def _request(self) -> list[str]:
        return list(iter(lambda: self.rfile.readline().decode().strip(), ""))

    def _get(self, address: str) -> None:
        if "silent" in address:
            self.server.over.wait(30)
        elif "missing" in address:
            self.wfile.write(b"HTTP/1.0 404 Not Found\r\n\r\n")
        elif address == "/clip.mp4":
            head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(self.server.file)}\r\n\r\n"
            self.wfile.write(head.encode() + self.server.file)
        else:
            kind = "multipart/x-mixed-replace; boundary=frame"
            self.wfile.write(f"HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
            self._play(self._send_part)

    def _play(self, send: Callable[[bytes, int], None]) -> None:
        length, begun = next(self.server.lengths), time.monotonic()
        self.server.plays += 1
        is_first = self.server.plays == 1
        for number in itertools.count():
            if number >= length or self.server.over.is_set():
                break
            is_coded, jpeg = cv2.imencode(".jpg", picture_of(number))
            assert is_coded
            send(jpeg.tobytes(), number)
            if is_first:
                self.server.sent.append(time.monotonic())
            time.sleep(max(0, begun + (number + 1) / RATE - time.monotonic()))
        if self.server.stalls:
            self.server.over.wait(30)

    def _send_part(self, jpeg: bytes, _: int) -> None:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self.wfile.write(head.encode() + jpeg + b"\r\n")

    def _rtsp(self, method: str, address: str, request: list[str]) -> None:
        said = dict(line.split(": ", 1) for line in request[1:])
        head, content = f"CSeq: {said['CSeq']}\r\n", ""
        expected = f"Basic {base64.b64encode(self.server.password.encode()).decode()}"
        code = "200 OK"
        if self.server.password and said.get("Authorization") != expected:
            code, head = "401 Unauthorized", head + 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif method == "DESCRIBE":
            content = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
                f"a=range:npt={self.server.span}\r\nm=video 0 RTP/AVP 26\r\n"
                f"a=framerate:{RATE}\r\na=control:{address}/track\r\n"
            )
            head += "Content-Type: application/sdp\r\n"
        elif method == "SETUP":
            head += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method == "PLAY":
            head += "Session: 1\r\n"
        head += f"Content-Length: {len(content)}\r\n"
        self.wfile.write(f"RTSP/1.0 {code}\r\n{head}\r\n{content}".encode())

    def _send_rtp(self, jpeg: bytes, number: int) -> None:
        """A JPEG as RFC 2435 has it: its tables of quantisation, and what follows its headers."""
        tables, start = b"", 2
        while jpeg[start + 1] != 0xDA:  # until the scan
            (size,) = struct.unpack_from(">H", jpeg, start + 2)
            if jpeg[start + 1] == 0xDB:
                tables += jpeg[start + 5 : start + 2 + size]
            start += 2 + size
        (size,) = struct.unpack_from(">H", jpeg, start + 2)
        scan = jpeg[start + 2 + size :]
        stamp = int(number * 90000 / RATE)
        for offset in range(0, len(scan), _PACKET):
            part = scan[offset : offset + _PACKET]
            is_last = offset + _PACKET >= len(scan)
            # Type 1 is 4:2:0; Q 255 has its tables in the first packet of a frame.
            head = struct.pack(">I4B", offset, 1, 255, SIZE[0] // 8, SIZE[1] // 8)
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables if offset == 0 else b""
            mark = (0x80 if is_last else 0) | 26
            rtp = struct.pack(">BBHII", 0x80, mark, next(self.packets) % (1 << 16), stamp, 1)
            size = len(rtp + head + part)
            self.wfile.write(struct.pack(">cBH", b"$", 0, size) + rtp + head + part)
