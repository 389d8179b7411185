import os
import sys
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "planet")]

from peer import Peer  # noqa: E402
from planet import KEY, PARIS, SECRET, TOKYO, VIRGINIA, Planet  # noqa: E402
from server import Server  # noqa: E402

DELAYS = HERE.parents[2] / "data" / "azure_region_rtt_median_ms_2026.csv"


@pytest.fixture(scope="session")
def binaries() -> Path:
    binary = os.environ.get("TRADEWIND_BIN")
    if not binary:
        pytest.exit("set TRADEWIND_BIN to the server binary", returncode=2)
    return Path(binary).resolve().parent


@pytest.fixture
def planet(binaries):
    """Three nodes, 107 ms one way between Tokyo and Paris."""
    net = int(os.environ.get("TRADEWIND_PLANET_NET", "1"))
    world = Planet(binaries, [TOKYO, PARIS, VIRGINIA], DELAYS, pages=True, net=net)
    try:
        yield world.start()
    finally:
        world.stop()


@pytest.fixture
def room() -> str:
    return f"call-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def join(planet, room):
    """Joins a peer through a node, or through any URL, and takes it out again afterwards."""
    peers: list[Peer] = []

    async def joined(identity: str, at: str = "", *, url: str = "", **how) -> Peer:
        peer = Peer(server_at(url or planet.nodes[at].url), room, identity)
        peers.append(peer)
        await peer.connect(**how)
        return peer

    yield joined
    for peer in peers:
        await peer.leave()


def server_at(url: str) -> Server:
    return Server(url, KEY, SECRET)
