"""A network camera for tests: motion JPEG over HTTP on loopback, with faults on demand."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from controller.drivers.camera.opencv import OpenCvCamera, OpenCvSettings
from models.frame import Frame
from statemachines.vocabulary import MS, Ns, PartKey

PERIOD_S = 0.02


class MotionJpegServer:
    """Frame n is grey of (n mod 25) × 10. stalled: it keeps the connection and sends nothing; cut: it closes it."""

    def __init__(self, width: int = 64, height: int = 48) -> None:
        self.stalled, self.cut, self.ending = threading.Event(), threading.Event(), threading.Event()
        self._jpegs = [
            cv2.imencode(".jpg", np.full((height, width), 10 * index, np.uint8))[1].tobytes() for index in range(25)
        ]
        outer = self

        class Camera(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.serve(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/video.mjpg"

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        if self.cut.is_set():
            request.send_error(503)
            return
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        number = 0
        while not (self.ending.is_set() or self.cut.is_set()):
            if not self.stalled.is_set():
                jpeg = self._jpegs[number % len(self._jpegs)]
                part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                try:
                    request.wfile.write(part + jpeg + b"\r\n")
                except OSError:
                    return
                number += 1
            self.ending.wait(PERIOD_S)

    def close(self) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class StreamedCamera:
    """An OpenCV camera on such a server, which goes with it."""

    def __init__(self, server: MotionJpegServer, latency_ms: float = 20) -> None:
        self.server = server
        settings = OpenCvSettings("stream", server.url, live=True, latency_ns=round(latency_ms * MS))
        self._camera = OpenCvCamera(settings)

    async def open(self, deadline: Ns) -> None:
        await self._camera.open(deadline)

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        return await self._camera.capture(part, view, expose_at, until, deadline)

    async def close(self) -> None:
        await self._camera.close()
