"""One call over several nodes, each with its own clients."""

import asyncio

import pytest
from conftest import server_at
from livekit import api
from peer import until


async def test_a_shopper_in_tokyo_and_an_agent_in_paris_see_and_hear_each_other(join):
    shopper, agent = await join("shopper", "tokyo"), await join("agent", "paris")
    await asyncio.gather(shopper.speak(440), agent.speak(880), shopper.show("red"), agent.show("blue"))
    await asyncio.gather(
        shopper.hears("agent", 880), agent.hears("shopper", 440),
        shopper.sees("agent", "blue"), agent.sees("shopper", "red"),
    )


async def test_chat_and_calls_cross(join):
    shopper, agent = await join("shopper", "tokyo"), await join("agent", "paris")
    await until(lambda: shopper.remote("agent") and agent.remote("shopper"), "they know of each other")
    sent = [number.to_bytes(4, "big") * 64 for number in range(100)]
    for block in sent:
        await shopper.local.publish_data(block)
    await until(lambda: len(agent.data()) >= len(sent), "all packets arrive", 20)
    assert [packet.data for packet in agent.data()] == sent
    assert agent.data()[0].participant.identity == "shopper"


async def test_a_late_joiner_sees_a_picture_before_a_key_frame_could_have_crossed_the_world(join):
    shopper = await join("shopper", "tokyo")
    await shopper.show("green", simulcast=False)
    first = await join("first", "paris")
    await first.sees("shopper", "green")
    late = await join("late", "paris")
    await late.sees("shopper", "green", seconds=5)


async def test_one_copy_crosses_whatever_the_number_of_listeners(planet, join):
    shopper = await join("shopper", "tokyo")
    listeners = [await join(f"listener-{number}", "paris") for number in range(4)]
    await shopper.speak(440)
    await asyncio.gather(*(listener.hears("shopper", 440) for listener in listeners))
    tokyo = planet.nodes["tokyo"]

    def counts() -> tuple[float, float]:
        text = tokyo.metric
        return text("tradewind_rtp_packets_total{direction=\"in\"}"), text("tradewind_relayed_packets_total{direction=\"out\"}")

    before = counts()
    await asyncio.sleep(3)
    came, crossed = (b - a for a, b in zip(before, counts()))
    assert came > 100
    assert abs(crossed - came) <= came * 0.05, f"{crossed} copies of {came} packets"


async def test_every_node_answers_for_the_whole_room(join, room, planet):
    shopper = await join("shopper", "tokyo")
    await join("agent", "paris")
    await shopper.speak(440)
    async with api.LiveKitAPI(planet.nodes["virginia"].http, server_at("").key, server_at("").secret) as ops:
        async def identities() -> set[str]:
            listed = await ops.room.list_participants(api.ListParticipantsRequest(room=room))
            return {participant.identity for participant in listed.participants}

        for _ in range(50):
            if await identities() == {"shopper", "agent"}:
                break
            await asyncio.sleep(0.1)
        assert await identities() == {"shopper", "agent"}
        rooms = await ops.room.list_rooms(api.ListRoomsRequest())
        assert [r.name for r in rooms.rooms] == [room], "a room on two nodes is listed once"
        await ops.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="agent"))
        await until(lambda: not shopper.remote("agent"), "the agent is gone")


async def test_the_same_identity_elsewhere_ends_the_older_session(join):
    older = await join("shopper", "tokyo")
    agent = await join("agent", "virginia")
    await until(lambda: agent.remote("shopper"), "the agent sees the shopper")
    newer = await join("shopper", "paris")
    await until(lambda: older.told("disconnected"), "the older session ends")
    await until(lambda: agent.remote("shopper") and agent.remote("shopper").sid == newer.local.sid, "the newer one is seen")


@pytest.mark.parametrize("node", ["tokyo", "paris"])
async def test_mute_and_metadata_cross(join, node):
    other = "paris" if node == "tokyo" else "tokyo"
    speaker = await join("speaker", node, can_update_own_metadata=True)
    listener = await join("listener", other)
    published = await speaker.speak(440)
    await listener.hears("speaker", 440)
    published.track.mute()
    await until(lambda: listener.publication("speaker", "voice").muted, "the listener hears of the mute")
    await speaker.local.set_metadata("busy")
    await until(lambda: listener.remote("speaker").metadata == "busy", "the metadata cross")
