"""Data packets, streams and calls between participants."""

import asyncio
import hashlib
import random

import pytest
from livekit import rtc
from peer import lost_packets, never, until

RELIABLE = rtc.DataPacketKind.KIND_RELIABLE
LOSSY = rtc.DataPacketKind.KIND_LOSSY


@pytest.mark.parametrize("v0", [False, True], ids=["v1", "v0"])
@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
async def test_a_packet_arrives_with_topic_kind_and_sender(join, reliable, v0):
    ann, bob = await join("ann", v0=v0), await join("bob", v0=v0)
    await ann.local.publish_data(b"hello", reliable=reliable, topic="greeting")
    packet = await until(lambda: bob.data() and bob.data()[0], "bob gets the packet")
    assert (packet.data, packet.topic) == (b"hello", "greeting")
    assert packet.kind == (RELIABLE if reliable else LOSSY)
    assert packet.participant.identity == "ann"
    await never(lambda: ann.data(), "the sender gets his own packet", 0.3)


async def test_a_packet_for_one_is_not_given_to_others(join):
    ann, bob, eve = await join("ann"), await join("bob"), await join("eve")
    await ann.local.publish_data(b"secret", destination_identities=["bob"])
    await ann.local.publish_data(b"for all")
    await until(lambda: len(bob.data()) == 2, "bob gets both")
    await until(lambda: len(eve.data()) == 1, "eve gets one")
    assert eve.data()[0].data == b"for all"


async def test_many_reliable_packets_keep_count_and_order(join):
    ann, bob = await join("ann"), await join("bob")
    sent = [number.to_bytes(4, "big") * 64 for number in range(500)]
    for block in sent:
        await ann.local.publish_data(block)
    await until(lambda: len(bob.data()) >= len(sent), "all packets arrive", 20)
    assert [packet.data for packet in bob.data()] == sent


async def test_a_late_joiner_gets_data_of_those_before_him(join):
    ann = await join("ann")
    bob = await join("bob")
    await asyncio.gather(ann.local.publish_data(b"one"), bob.local.publish_data(b"two"))
    await until(lambda: ann.data() and bob.data(), "both get a packet")
    late = await join("late")
    await late.local.publish_data(b"three")
    await until(lambda: len(ann.data()) == 2 and len(bob.data()) == 2, "the newcomer is heard")


async def read_text(peer, topic: str) -> asyncio.Future:
    done = asyncio.get_running_loop().create_future()

    def opened(reader, identity):
        async def read():
            done.set_result((identity, reader.info, await reader.read_all()))
        peer.tasks.append(asyncio.create_task(read()))

    peer.room.register_text_stream_handler(topic, opened)
    return done


async def test_a_chat_text_arrives_whole(join):
    ann, bob = await join("ann"), await join("bob")
    got = await read_text(bob, "lk.chat")
    text = "Grüße, 你好 " + "x" * 40_000
    await ann.local.send_text(text, topic="lk.chat", attributes={"mood": "good"})
    identity, info, received = await asyncio.wait_for(got, 10)
    assert (identity, received) == ("ann", text)
    assert info.attributes["mood"] == "good"


async def test_a_text_streamed_in_pieces_arrives_in_order(join):
    ann, bob = await join("ann"), await join("bob")
    got = await read_text(bob, "pieces")
    writer = await ann.local.stream_text(topic="pieces")
    for number in range(20):
        await writer.write(f"{number} ")
    await writer.aclose()
    _, _, received = await asyncio.wait_for(got, 10)
    assert received == "".join(f"{number} " for number in range(20))


@pytest.mark.timeout(120)
async def test_ten_megabytes_arrive_while_the_sound_goes_on(join):
    ann, bob = await join("ann"), await join("bob")
    await ann.speak(440)
    ear = await bob.hears("ann", 440)
    done = asyncio.get_running_loop().create_future()

    def opened(reader, identity):
        async def read():
            digest, size = hashlib.sha256(), 0
            async for chunk in reader:
                digest.update(chunk)
                size += len(chunk)
            done.set_result((identity, size, digest.hexdigest()))
        bob.tasks.append(asyncio.create_task(read()))

    bob.room.register_byte_stream_handler("file", opened)
    blob = random.Random(7).randbytes(10 * 1024 * 1024)
    await asyncio.sleep(0.5)
    ear.forget()
    lost_before, got_before = await lost_packets(ear.track)
    await ann.local.send_bytes(blob, topic="file", name="blob.bin")
    identity, size, digest = await asyncio.wait_for(done, 90)
    assert (identity, size) == ("ann", len(blob))
    assert digest == hashlib.sha256(blob).hexdigest()
    assert ear.longest_gap() <= 0.2
    lost, got = await lost_packets(ear.track)
    assert lost - lost_before <= (got - got_before) // 10
    assert abs(ear.frequency() - 440) < 12


async def test_a_call_is_answered_in_both_directions(join):
    ann, bob = await join("ann"), await join("bob")

    async def shout(call):
        return f"{call.caller_identity}: {call.payload.upper()}"

    bob.local.register_rpc_method("shout", shout)
    ann.local.register_rpc_method("shout", shout)
    assert await ann.local.perform_rpc(
        destination_identity="bob", method="shout", payload="hi") == "ann: HI"
    assert await bob.local.perform_rpc(
        destination_identity="ann", method="shout", payload="x" * 30_000) == "bob: " + "X" * 30_000


async def test_a_failing_call_brings_its_error_back(join):
    ann, bob = await join("ann"), await join("bob")

    async def refuse(call):
        raise rtc.RpcError(1234, "will not", "because")

    bob.local.register_rpc_method("refuse", refuse)
    with pytest.raises(rtc.RpcError) as failed:
        await ann.local.perform_rpc(destination_identity="bob", method="refuse", payload="")
    assert (failed.value.code, failed.value.message, failed.value.data) == (1234, "will not", "because")
    with pytest.raises(rtc.RpcError) as unknown:
        await ann.local.perform_rpc(destination_identity="bob", method="absent", payload="")
    assert unknown.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD


async def test_a_data_track_reaches_its_subscriber(join):
    ann, bob = await join("ann"), await join("bob")
    found = asyncio.get_running_loop().create_future()
    bob.room.on("data_track_published", lambda track: found.done() or found.set_result(track))
    track = await ann.local.publish_data_track(name="sensor")
    remote = await asyncio.wait_for(found, 10)
    stream = remote.subscribe()
    got: list[bytes] = []

    async def read():
        async for frame in stream:
            got.append(frame.payload)

    bob.tasks.append(asyncio.create_task(read()))

    async def send():
        number = 0
        while True:
            track.try_push(rtc.DataTrackFrame(payload=f"frame {number}".encode()))
            number += 1
            await asyncio.sleep(0.02)

    ann.tasks.append(asyncio.create_task(send()))
    await until(lambda: len(got) >= 10, "ten frames arrive")
    numbers = [int(payload.split()[1]) for payload in got]
    assert numbers == sorted(set(numbers))
