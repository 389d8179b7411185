"""What a fleet tells applications: each thing once, by whichever node."""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass

import pytest
from conftest import DELAYS, server_at
from livekit import api
from peer import never, until
from planet import KEY, PARIS, SECRET, TOKYO, Node, Planet
from wire import HookReceiver

STORY = {"room_started": 1, "participant_joined": 2, "participant_left": 2, "room_finished": 1}


@dataclass
class TellingPlanet(Planet):
    hook_port: int = 0

    def _server_config(self, node: Node) -> dict:
        hook = {"urls": [f"http://127.0.0.1:{self.hook_port}/hook"], "api_key": KEY}
        return super()._server_config(node) | {"webhook": hook, "room": {"departure_timeout_s": 1}}


@pytest.fixture
def told():
    receiver = HookReceiver()
    yield receiver
    receiver.close()


@pytest.fixture
def planet(binaries, told):
    net = int(os.environ.get("TRADEWIND_PLANET_NET", "1"))
    world = TellingPlanet(binaries, [TOKYO, PARIS], DELAYS, net=net, hook_port=told.port)
    try:
        yield world.start()
    finally:
        world.stop()


async def both_join(join, told, room: str):
    shopper = await join("shopper", "tokyo")
    agent = await join("agent", "paris")
    await until(lambda: shopper.remote("agent") and agent.remote("shopper"), "they know of each other")
    await until(lambda: told.names(room).count("participant_joined") == 2, "both joins are told")
    return shopper, agent


async def is_told_once(told, room: str) -> None:
    try:
        await until(lambda: Counter(told.names(room)) == STORY, "the whole story", 20)
    except AssertionError as missing:
        raise AssertionError(f"{missing}; told: {told.names(room)}") from missing
    await never(lambda: Counter(told.names(room)) != STORY, "something is told twice", 6)


async def test_a_room_that_moves_on_to_another_node_begins_and_ends_once(told, join, room):
    shopper, agent = await both_join(join, told, room)
    await shopper.leave()
    await never(lambda: "room_finished" in told.names(room), "the room ends with somebody in it", 3)
    await agent.leave()
    await is_told_once(told, room)


async def test_two_who_hang_up_at_once_end_the_room_once(told, join, room):
    shopper, agent = await both_join(join, told, room)
    await asyncio.gather(shopper.leave(), agent.leave())
    await is_told_once(told, room)


async def test_a_room_deleted_on_all_nodes_ends_once(told, planet, join, room):
    await both_join(join, told, room)
    async with api.LiveKitAPI(planet.nodes["paris"].http, server_at("").key, SECRET) as admin:
        await admin.room.delete_room(api.DeleteRoomRequest(room=room))
    await is_told_once(told, room)
