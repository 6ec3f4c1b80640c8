"""An application for pods: ``python -m tests.support.kube.application PORT``.

Answers JSON that says who it is and what it was asked, after ``?wait=`` seconds. At SIGTERM it goes on for as long as
its endpoint may still be known (``--linger`` seconds), tells its clients with ``Connection: close``, finishes what runs
and ends, as well-made applications do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from urllib.parse import parse_qs, urlsplit


class Application:
    """One HTTP/1.1 server."""

    def __init__(self) -> None:
        self._leaving = False
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def run(self, port: int, linger: float) -> None:
        """Serve until SIGTERM and the end of what runs then."""
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        server = await asyncio.start_server(self._serve, "0.0.0.0", port)
        await told.wait()
        self._leaving = True
        await asyncio.sleep(linger)
        server.close()
        async with asyncio.timeout(30):
            await self._idle.wait()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self._busy += 1
        self._idle.clear()
        try:
            fields = dict(line.lower().split(": ", 1) for line in lines if line)
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            path = start.split(" ")[1]
            wait = parse_qs(urlsplit(path).query).get("wait", ["0"])[0]
            await asyncio.sleep(float(wait))
            facts = {"pod": os.environ["POD_NAME"], "path": path, "body": body.decode()}
            text = json.dumps(facts).encode()
            close = self._leaving or fields.get("connection") == "close"
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n" + ("Connection: close\r\n" if close else "")
            writer.write(f"{head}\r\n".encode() + text)
            await writer.drain()
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()
        return not close


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--linger", type=float, default=1.0)
    options = parser.parse_args()
    asyncio.run(Application().run(options.port, options.linger))
