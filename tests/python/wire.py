"""Plumbing around the server: a cable that can be cut, and a receiver of webhooks."""

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Cable:
    """A TCP relay in front of the server's signalling port. Media does not pass here."""

    def __init__(self, port: int):
        self.target = port
        self.open = True
        self.accepted = 0
        self.pairs: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Cable":
        self.listener = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_) -> None:
        self.listener.close()
        self.cut()

    def cut(self) -> None:
        """Breaks every connection and refuses new ones until mended."""
        self.open = False
        self.snap()

    def snap(self) -> None:
        """Breaks every connection; new ones are let through."""
        for writer in list(self.pairs):
            writer.transport.abort()
        self.pairs.clear()

    def mend(self) -> None:
        self.open = True

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        self.accepted += 1
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.pairs |= {writer, up_writer}
        await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        self.pairs -= {writer, up_writer}

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


class HookReceiver:
    """Keeps every webhook; rooms named flaky-* are answered 500 once for each event."""

    def __init__(self, port: int = 0):
        self.fixed = port != 0
        self.posts: list[dict] = []
        self.refused: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                self.send_response(receiver.take(body, self.headers))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def take(self, body: str, headers) -> int:
        event = json.loads(body)
        room = event.get("room", {}).get("name", "")
        first = event.get("id", "") not in self.refused
        status = 500 if room.startswith("flaky-") and first else 200
        if status == 500:
            self.refused.add(event.get("id", ""))
        self.posts.append({"event": event, "body": body, "room": room, "status": status,
                           "auth": headers.get("authorization", ""),
                           "type": headers.get("content-type", ""), "at": time.monotonic()})
        return status

    def names(self, room: str, status: int = 200) -> list[str]:
        return [p["event"]["event"] for p in self.posts
                if p["room"] == room and p["status"] == status]

    def close(self) -> None:
        self.http.shutdown()
