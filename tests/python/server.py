"""Starts the server under test, or points at a running one, and signs tokens for it."""

import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from livekit import api

KEY = "devkey"
SECRET = "secret-secret-secret-secret-secret-1"
READY_SECONDS = 15.0

CONFIG = """\
http:
  bind: "127.0.0.1:{http}"
rtc:
  udp_port: {udp}
  tcp_port: {tcp}
  advertise: ["127.0.0.1"]
  shards: {shards}
  spread_room_after: {spread}
keys:
  {key}: "{secret}"
metrics:
  bind: "127.0.0.1:{metrics}"
pages:
  enabled: true
webhook:
  urls: ["http://127.0.0.1:{hook}/hook"]
  api_key: {key}
"""


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    url: str
    key: str = KEY
    secret: str = SECRET
    ready_url: str = ""
    process: subprocess.Popen | None = None
    log: Path | None = None

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def http(self) -> str:
        return self.url.replace("ws", "http", 1)

    def token(self, room: str, identity: str, *, name: str = "", metadata: str = "",
              attributes: dict[str, str] | None = None, ttl: float = 600, **grants) -> str:
        grant = api.VideoGrants(room_join=True, room=room, **grants)
        token = api.AccessToken(self.key, self.secret).with_identity(identity).with_name(name)
        token = token.with_grants(grant).with_ttl(timedelta(seconds=ttl)).with_metadata(metadata)
        return token.with_attributes(attributes or {}).to_jwt()

    def api(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(self.http, self.key, self.secret)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


def running_server() -> Server | None:
    """The server named by the environment, if there is one."""
    url = os.environ.get("LIVEKIT_URL")
    if not url:
        return None
    key = os.environ.get("LIVEKIT_API_KEY", KEY)
    return Server(url.rstrip("/"), key, os.environ.get("LIVEKIT_API_SECRET", SECRET))


def start_server(hook_port: int) -> Server:
    binary = os.environ.get("TRADEWIND_BIN")
    if not binary:
        raise RuntimeError("set TRADEWIND_BIN to the server binary, or LIVEKIT_URL to a running one")
    folder = Path(tempfile.mkdtemp(prefix="tradewind-test-"))
    http, metrics = free_port(), free_port()
    config = folder / "config.yaml"
    # Everybody is on another media thread than whoever came before.
    spread = os.environ.get("TRADEWIND_TEST_SPREAD") == "1"
    config.write_text(CONFIG.format(
        shards=2 if spread else 1, spread=1 if spread else 100,
        http=http, metrics=metrics, udp=free_port(socket.SOCK_DGRAM), tcp=free_port(),
        hook=hook_port, key=KEY, secret=SECRET))
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen([binary, "serve", "--config", str(config)],
                                   stdout=out, stderr=subprocess.STDOUT)
    server = Server(f"ws://127.0.0.1:{http}", process=process, log=log,
                    ready_url=f"http://127.0.0.1:{metrics}/readyz")
    try:
        await_ready(server)
    except Exception:
        server.stop()
        raise
    return server


def await_ready(server: Server) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(server.ready_url, timeout=1) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    tail = server.log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the server did not become ready; its log ends:\n{tail}")
