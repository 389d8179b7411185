"""Broken connections: the signalling cable is cut while media goes on, or all starts anew."""

import asyncio

import pytest
from livekit import rtc
from peer import until

BOTH = pytest.mark.parametrize("v0", [False, True], ids=["v1", "v0"])


@BOTH
async def test_a_snapped_cable_is_resumed_and_media_goes_on(join, cable, v0):
    ann, bob = await join("ann", url=cable.url, v0=v0), await join("bob")
    await asyncio.gather(ann.speak(440), ann.show("red"), bob.speak(880))
    eye, ear = await bob.sees("ann", "red"), await ann.hears("bob", 880)
    sid = ann.local.sid
    cable.snap()
    await until(lambda: ann.told("reconnected"), "ann is back", 20)
    assert ann.local.sid == sid, "the session went on, it was not begun anew"
    await bob.sees_growth(eye)
    assert await ann.hears("bob", 880) is ear
    await bob.hears("ann", 440)
    assert not bob.told("participant_disconnected") + bob.told("track_unsubscribed")


@BOTH
async def test_a_longer_outage_ends_in_working_media(join, cable, v0):
    ann, bob = await join("ann", url=cable.url, v0=v0), await join("bob")
    await asyncio.gather(ann.speak(440), ann.show("red"), bob.speak(880))
    await asyncio.gather(bob.sees("ann", "red"), ann.hears("bob", 880))
    cable.cut()
    await until(lambda: ann.told("reconnecting"), "ann notices")
    await asyncio.sleep(1)
    cable.mend()
    await until(lambda: ann.told("reconnected"), "ann is back", 20)
    await works_again(ann, bob, video_back=False)


async def works_again(ann, bob, video_back: bool = True) -> None:
    await asyncio.gather(bob.hears("ann", 440), ann.hears("bob", 880))
    await bob.sees_growth(await bob.sees("ann", "red"))
    if video_back:
        await ann.sees_growth(await ann.sees("bob", "blue"))


@BOTH
async def test_reliable_data_around_a_resume_is_neither_lost_nor_doubled(join, cable, v0):
    ann, bob = await join("ann", url=cable.url, v0=v0), await join("bob")
    total = 150

    async def count(sender):
        for number in range(total):
            await sender.local.publish_data(number.to_bytes(4, "big"))
            await asyncio.sleep(0.01)

    counting = asyncio.gather(count(ann), count(bob))
    await asyncio.sleep(0.4)
    cable.snap()
    await asyncio.wait_for(counting, 30)
    await until(lambda: ann.told("reconnected"), "ann is back", 20)
    for peer in (ann, bob):
        await until(lambda: len(peer.data()) >= total, f"{peer.identity} gets all", 15)
    await asyncio.sleep(0.3)
    for peer in (ann, bob):
        assert [int.from_bytes(packet.data, "big") for packet in peer.data()] == list(range(total))


async def test_changes_during_a_cut_are_told_afterwards(join, cable):
    ann, bob, eve = await join("ann", url=cable.url), await join("bob"), await join("eve")
    await until(lambda: ann.remote("eve"), "eve is seen")
    cable.cut()
    await until(lambda: ann.told("reconnecting"), "ann notices")
    await eve.leave()
    await bob.show("blue")
    late = await join("late")
    cable.mend()
    await until(lambda: ann.told("reconnected"), "ann is back", 20)
    await until(lambda: ann.remote("late") and not ann.remote("eve"), "the others as they are now")
    await ann.sees("bob", "blue")
    await late.speak(600)
    await ann.hears("late", 600)


@pytest.mark.parametrize("scenario", [
    "SIMULATE_SIGNAL_RECONNECT", "SIMULATE_FULL_RECONNECT", "SIMULATE_NODE_FAILURE",
    "SIMULATE_DISCONNECT_SIGNAL_ON_RESUME"])
@BOTH
async def test_simulated_failures_end_in_working_media(join, scenario, v0):
    ann, bob = await join("ann", v0=v0), await join("bob")
    await asyncio.gather(ann.speak(440), ann.show("red"), bob.speak(880), bob.show("blue"))
    await asyncio.gather(ann.sees("bob", "blue"), bob.sees("ann", "red"))
    kind = rtc.SimulateScenarioKind.Value(scenario)
    await asyncio.wait_for(ann.room.simulate_scenario(kind), 20)
    await until(lambda: ann.told("reconnected"), "ann is back", 20)
    await until(lambda: ann.remote("bob"), "bob is still there")
    await works_again(ann, bob)


async def test_a_closing_server_says_so(join):
    ann = await join("ann")
    await ann.room.simulate_scenario(rtc.SimulateScenarioKind.Value("SIMULATE_SERVER_LEAVE"))
    await until(lambda: ann.told("disconnected"), "ann is out")
    assert ann.told("disconnected")[0][0] == rtc.DisconnectReason.SERVER_SHUTDOWN


async def test_a_client_that_vanishes_is_missed(join, cable):
    """Nothing is said on the cable any more; only the missing media tells."""
    watcher, gone = await join("watcher"), await join("gone", url=cable.url)
    await until(lambda: watcher.remote("gone"), "gone is there")
    cable.cut()
    task = asyncio.create_task(gone.room.disconnect())
    await until(lambda: not watcher.remote("gone"), "the vanished one is taken out", 40)
    await asyncio.wait([task], timeout=10)
