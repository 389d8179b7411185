import os
import uuid

import pytest
from peer import Peer
from server import running_server, start_server
from wire import Cable, HookReceiver


@pytest.fixture(scope="session")
def hooks():
    receiver = HookReceiver(int(os.environ.get("TRADEWIND_HOOK_PORT", "0")))
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def server(request):
    found = running_server()
    if found:
        yield found
        return
    try:
        started = start_server(request.getfixturevalue("hooks").port)
    except RuntimeError as reason:
        pytest.exit(str(reason), returncode=2)
    yield started
    died = started.process.poll()
    started.stop()
    assert died is None, f"the server died during the run with {died}; log: {started.log}"


@pytest.fixture
def room(request) -> str:
    return f"{request.node.name.split('[')[0][5:45]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def join(server, room):
    """Joins peers to the test's room and takes them out again afterwards."""
    peers: list[Peer] = []

    async def joined(identity: str, **how) -> Peer:
        peer = Peer(server, how.pop("room", room), identity)
        peers.append(peer)
        await peer.connect(**how)
        return peer

    yield joined
    for peer in peers:
        await peer.leave()


@pytest.fixture
async def cable(server):
    async with Cable(server.port) as wire:
        yield wire


@pytest.fixture
async def admin(server):
    async with server.api() as client:
        yield client
