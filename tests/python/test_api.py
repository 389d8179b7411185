"""The server's own interface, through the server library (protobuf bodies)."""

import asyncio
import urllib.error
import urllib.request

import pytest
from livekit import api, rtc
from peer import until


async def refused(call) -> str:
    with pytest.raises(api.TwirpError) as failed:
        await call
    return failed.value.code


def signed(server, secret: str = "", **grants) -> str:
    token = api.AccessToken(server.key, secret or server.secret).with_identity("ops")
    return token.with_grants(api.VideoGrants(**grants)).to_jwt()


def granted(server, **grants) -> api.LiveKitAPI:
    """A client whose every call carries a token of just these grants."""
    return api.LiveKitAPI.with_token(signed(server, **grants), url=server.http)


async def test_a_room_is_made_listed_and_deleted(admin, room):
    made = await admin.room.create_room(api.CreateRoomRequest(
        name=room, metadata="m", empty_timeout=60, departure_timeout=30, max_participants=3))
    assert made.sid.startswith("RM_")
    assert (made.name, made.metadata, made.max_participants) == (room, "m", 3)
    assert (made.empty_timeout, made.departure_timeout) == (60, 30)
    again = await admin.room.create_room(api.CreateRoomRequest(name=room))
    assert again.sid == made.sid, "making it twice is no new room"
    listed = await admin.room.list_rooms(api.ListRoomsRequest(names=[room]))
    assert [r.sid for r in listed.rooms] == [made.sid]
    everything = await admin.room.list_rooms(api.ListRoomsRequest())
    assert room in [r.name for r in everything.rooms]
    await admin.room.delete_room(api.DeleteRoomRequest(room=room))
    assert not (await admin.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms


async def test_a_full_room_lets_nobody_else_in(admin, room, join):
    await admin.room.create_room(api.CreateRoomRequest(name=room, max_participants=1, empty_timeout=30))
    await join("ann")
    with pytest.raises((rtc.ConnectError, asyncio.TimeoutError)):
        await join("bob")


async def test_participants_are_listed_with_their_tracks(admin, room, join):
    ann = await join("ann", can_update_own_metadata=True)
    await join("bob")
    published = await ann.speak(440)
    listed = await admin.room.list_participants(api.ListParticipantsRequest(room=room))
    assert {p.identity for p in listed.participants} == {"ann", "bob"}

    async def live():
        info = await admin.room.get_participant(api.RoomParticipantIdentity(room=room, identity="ann"))
        return info if info.tracks and info.state == api.ParticipantInfo.State.ACTIVE else None

    for _ in range(100):
        if info := await live():
            break
        await asyncio.sleep(0.05)
    assert info.sid == ann.local.sid
    assert [(t.sid, t.name, t.muted) for t in info.tracks] == [(published.sid, "voice", False)]
    assert info.tracks[0].source == api.TrackSource.MICROPHONE
    assert info.permission.can_publish and info.permission.can_update_metadata
    counted = (await admin.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms[0]
    assert counted.name == room


async def test_a_removed_participant_is_told_why(admin, room, join):
    ann, bob = await join("ann"), await join("bob")
    await until(lambda: bob.remote("ann"), "ann is seen")
    await admin.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="ann"))
    await until(lambda: ann.told("disconnected"), "ann is out")
    assert ann.told("disconnected")[0][0] == rtc.DisconnectReason.PARTICIPANT_REMOVED
    await until(lambda: not bob.remote("ann"), "bob is told")


async def test_a_track_is_muted_from_outside(admin, room, join):
    ann, bob = await join("ann"), await join("bob")
    published = await ann.speak(440)
    ear = await bob.hears("ann", 440)
    answer = await admin.room.mute_published_track(api.MuteRoomTrackRequest(
        room=room, identity="ann", track_sid=published.sid, muted=True))
    assert (answer.track.sid, answer.track.muted) == (published.sid, True)
    await until(lambda: bob.told("track_muted"), "bob is told")
    await until(lambda: ann.told("track_muted"), "ann is told")
    await until(lambda: ear.frequency() == 0.0, "silence")


async def test_a_participant_is_changed_from_outside(admin, room, join):
    ann, bob = await join("ann"), await join("bob")
    info = await admin.room.update_participant(api.UpdateParticipantRequest(
        room=room, identity="ann", metadata="m2", name="Ann II", attributes={"desk": "7"}))
    assert (info.metadata, info.name, info.attributes["desk"]) == ("m2", "Ann II", "7")
    await until(lambda: bob.remote("ann") and bob.remote("ann").metadata == "m2", "bob sees it")
    assert (bob.remote("ann").name, dict(bob.remote("ann").attributes)) == ("Ann II", {"desk": "7"})
    await until(lambda: ann.local.metadata == "m2", "ann sees it")


async def test_subscriptions_are_changed_from_outside(admin, room, join):
    ann, bob = await join("ann"), await join("bob")
    published = await ann.speak(440)
    ear = await bob.hears("ann", 440)

    async def wanted(subscribe: bool) -> None:
        await admin.room.update_subscriptions(api.UpdateSubscriptionsRequest(
            room=room, identity="bob", track_sids=[published.sid], subscribe=subscribe))

    await wanted(False)
    await until(lambda: ear.frequency() == 0.0, "bob hears nothing")
    await wanted(True)
    await bob.hears("ann", 440)


async def test_data_is_sent_from_outside(admin, room, join):
    ann, bob = await join("ann"), await join("bob")
    await admin.room.send_data(api.SendDataRequest(
        room=room, data=b"all", kind=rtc.DataPacketKind.KIND_RELIABLE, topic="news"))
    await admin.room.send_data(api.SendDataRequest(
        room=room, data=b"bob only", kind=rtc.DataPacketKind.KIND_RELIABLE, destination_identities=["bob"]))
    await until(lambda: len(bob.data()) == 2, "bob gets both")
    assert [p.data for p in bob.data()] == [b"all", b"bob only"]
    assert (bob.data()[0].topic, bob.data()[0].participant) == ("news", None)
    assert [p.data for p in ann.data()] == [b"all"]


async def test_room_metadata_reaches_everyone(admin, room, join):
    ann = await join("ann")
    changed = await admin.room.update_room_metadata(
        api.UpdateRoomMetadataRequest(room=room, metadata="open"))
    assert changed.metadata == "open"
    await until(lambda: ann.told("room_metadata_changed"), "ann is told")
    late = await join("late")
    assert (ann.room.metadata, late.room.metadata) == ("open", "open")


CALLS = {
    "create_room": lambda r, room: r.create_room(api.CreateRoomRequest(name=room)),
    "list_rooms": lambda r, room: r.list_rooms(api.ListRoomsRequest()),
    "delete_room": lambda r, room: r.delete_room(api.DeleteRoomRequest(room=room)),
    "list_participants": lambda r, room: r.list_participants(api.ListParticipantsRequest(room=room)),
    "get_participant": lambda r, room: r.get_participant(
        api.RoomParticipantIdentity(room=room, identity="ann")),
    "remove_participant": lambda r, room: r.remove_participant(
        api.RoomParticipantIdentity(room=room, identity="ann")),
    "mute": lambda r, room: r.mute_published_track(
        api.MuteRoomTrackRequest(room=room, identity="ann", track_sid="TR_x", muted=True)),
    "update_participant": lambda r, room: r.update_participant(
        api.UpdateParticipantRequest(room=room, identity="ann", metadata="x")),
    "update_subscriptions": lambda r, room: r.update_subscriptions(
        api.UpdateSubscriptionsRequest(room=room, identity="ann", track_sids=["TR_x"])),
    "send_data": lambda r, room: r.send_data(api.SendDataRequest(room=room, data=b"x")),
    "update_metadata": lambda r, room: r.update_room_metadata(
        api.UpdateRoomMetadataRequest(room=room, metadata="x")),
}


def raw_call(server, method: str, token: str) -> int:
    request = urllib.request.Request(
        f"{server.http}/twirp/livekit.RoomService/{method}", data=b"{}", method="POST",
        headers={"content-type": "application/json", "authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_without_its_grant_is_refused(server, room, join, call):
    await join("ann")
    async with granted(server, room_join=True, room=room) as guest:
        code = await refused(CALLS[call](guest.room, room))
    assert code in ("permission_denied", "unauthenticated")


@pytest.mark.parametrize("call", ["list_participants", "send_data", "remove_participant"])
async def test_the_admin_of_one_room_has_no_say_in_another(server, room, join, call):
    await join("ann")
    async with granted(server, room_admin=True, room="another") as guest:
        code = await refused(CALLS[call](guest.room, room))
    assert code in ("permission_denied", "unauthenticated")


@pytest.mark.parametrize("call", ["get_participant", "remove_participant", "update_participant"])
async def test_what_is_not_there_is_not_found(admin, call):
    assert await refused(CALLS[call](admin.room, "no-such-room")) == "not_found"


def test_a_forged_token_is_unauthenticated(server):
    assert raw_call(server, "ListRooms", signed(server, room_list=True)) == 200
    assert raw_call(server, "ListRooms", signed(server, server.secret + "x", room_list=True)) == 401


def test_an_unknown_method_is_refused(server):
    assert raw_call(server, "Dance", signed(server, room_list=True)) in (404, 501)
