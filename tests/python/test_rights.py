"""What a token allows, what it forbids, and how changes of state reach the others."""

import asyncio

import pytest
from livekit import api, rtc
from livekit.rtc.participant import PublishTrackError
from peer import never, until


async def test_own_metadata_name_and_attributes_reach_the_others(join):
    ann, bob = await join("ann", can_update_own_metadata=True), await join("bob")
    await ann.local.set_metadata("m1")
    await ann.local.set_name("Ann B.")
    await ann.local.set_attributes({"seat": "4", "hat": "red"})
    await until(lambda: bob.told("participant_attributes_changed"), "bob is told of attributes")
    seen = bob.remote("ann")
    await until(lambda: (seen.metadata, seen.name) == ("m1", "Ann B."), "metadata and name")
    assert seen.attributes == {"seat": "4", "hat": "red"}
    await ann.local.set_attributes({"hat": ""})
    await until(lambda: dict(seen.attributes) == {"seat": "4"}, "an empty value deletes the key")


async def test_own_metadata_is_refused_without_the_grant(join):
    ann, bob = await join("ann"), await join("bob")
    await asyncio.wait_for(ann.local.set_metadata("m1"), 7)  # This SDK swallows the refusal.
    await never(lambda: bob.told("participant_metadata_changed"), "the change got through", 3.5)


async def test_token_fields_are_seen_by_the_others(join):
    bob = await join("bob")
    await join("ann", token=bob.server.token(
        bob.room_name, "ann", name="Ann", metadata="m0", attributes={"a": "b"}))
    seen = await until(lambda: bob.remote("ann"), "ann is seen")
    assert (seen.name, seen.metadata, dict(seen.attributes)) == ("Ann", "m0", {"a": "b"})


async def test_no_publishing_without_the_grant(join):
    ann, bob = await join("ann", can_publish=False), await join("bob")
    with pytest.raises((PublishTrackError, asyncio.TimeoutError)):
        await ann.speak(440)
    await never(lambda: bob.told("track_published"), "the track got through", 0.5)


async def test_only_granted_sources_can_be_published(join):
    ann, bob = await join("ann", can_publish_sources=["microphone"]), await join("bob")
    await ann.speak(440)
    await bob.hears("ann", 440)
    with pytest.raises((PublishTrackError, asyncio.TimeoutError)):
        await ann.show("red")
    assert bob.publication("ann", "picture") is None


async def test_data_is_dropped_without_the_grant(join):
    ann, bob = await join("ann", can_publish_data=False), await join("bob")
    eve = await join("eve")
    try:
        await ann.local.publish_data(b"forbidden")
    except Exception:
        pass  # A client that knows its permissions may refuse by itself.
    await eve.local.publish_data(b"allowed")
    await until(lambda: bob.data(), "the allowed packet")
    await never(lambda: len(bob.data()) > 1, "the forbidden packet", 0.5)
    assert bob.data()[0].data == b"allowed"


async def test_without_subscribe_grant_no_track_comes(join):
    ann = await join("ann")
    await ann.speak(440)
    bob = await join("bob", can_subscribe=False)
    await never(lambda: bob.told("track_subscribed"), "a track was handed out", 1.5)
    await bob.show("red")
    await ann.sees("bob", "red")


async def test_a_hidden_participant_watches_unseen(join, admin, room):
    ann = await join("ann")
    ghost = await join("ghost", hidden=True)
    await ann.speak(440)
    await ghost.hears("ann", 440)
    bob = await join("bob")
    assert "ghost" not in ann.room.remote_participants
    assert "ghost" not in bob.room.remote_participants
    assert not [e for e in ann.told("participant_connected") if e[0].identity == "ghost"]
    await ghost.leave()
    await never(lambda: ann.told("participant_disconnected"), "the ghost was seen leaving", 0.5)


async def test_revoked_publishing_takes_the_track_away(join, admin, room):
    ann, bob = await join("ann"), await join("bob")
    await asyncio.gather(ann.speak(440), ann.show("red"))
    await asyncio.gather(bob.hears("ann", 440), bob.sees("ann", "red"))
    await admin.room.update_participant(api.UpdateParticipantRequest(
        room=room, identity="ann",
        permission=api.ParticipantPermission(can_publish=False, can_subscribe=True, can_publish_data=True)))
    await until(lambda: len(bob.told("track_unpublished")) == 2, "both tracks are taken away")
    await until(lambda: not ann.local.permissions.can_publish, "ann knows")


async def test_subscriptions_follow_a_grant_given_later(join, admin, room):
    ann = await join("ann")
    await ann.speak(440)
    bob = await join("bob", can_subscribe=False)
    await admin.room.update_participant(api.UpdateParticipantRequest(
        room=room, identity="bob",
        permission=api.ParticipantPermission(can_publish=True, can_subscribe=True, can_publish_data=True)))
    await bob.hears("ann", 440)


async def test_the_same_identity_throws_the_first_one_out(join):
    watcher, first = await join("watcher"), await join("ann")
    second = await join("ann")
    await until(lambda: first.told("disconnected"), "the first is out")
    assert first.told("disconnected")[0][0] == rtc.DisconnectReason.DUPLICATE_IDENTITY
    await second.show("green")
    await watcher.sees("ann", "green")
    assert watcher.remote("ann").sid == second.local.sid


async def test_deleting_the_room_tells_everyone_why(join, admin, room):
    ann, bob = await join("ann"), await join("bob")
    await admin.room.delete_room(api.DeleteRoomRequest(room=room))
    for peer in (ann, bob):
        await until(lambda: peer.told("disconnected"), f"{peer.identity} is out")
        assert peer.told("disconnected")[0][0] == rtc.DisconnectReason.ROOM_DELETED


async def test_those_who_leave_are_seen_leaving(join):
    ann, bob = await join("ann"), await join("bob")
    await until(lambda: ann.remote("bob"), "bob is seen")
    await bob.leave()
    await until(lambda: ann.told("participant_disconnected"), "bob is seen leaving")
    assert ann.told("participant_disconnected")[0][0].identity == "bob"
    assert not ann.room.remote_participants
