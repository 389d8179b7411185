"""What the server tells other services: every event once, in order, signed."""

import asyncio
import base64
import hashlib
import time

import pytest
from livekit import api
from peer import until
from server import running_server

STORY = ["room_started", "participant_joined", "track_published", "track_unpublished",
         "participant_left", "room_finished"]


@pytest.fixture
def told(hooks):
    if running_server() and not hooks.fixed:
        pytest.fail("a running server needs TRADEWIND_HOOK_PORT, the port its webhooks go to")
    return hooks


async def one_call(join, admin, room: str) -> None:
    ann = await join("ann", room=room)
    published = await ann.speak(440)
    for _ in range(200):
        info = await admin.room.get_participant(api.RoomParticipantIdentity(room=room, identity="ann"))
        if info.tracks:
            break
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    await ann.local.unpublish_track(published.sid)
    await asyncio.sleep(0.3)
    await ann.leave()
    await asyncio.sleep(0.3)
    await admin.room.delete_room(api.DeleteRoomRequest(room=room))


async def test_the_story_of_a_room_is_told_in_order(told, join, admin, room):
    await one_call(join, admin, room)
    await until(lambda: "room_finished" in told.names(room), "the end is told")
    assert told.names(room) == STORY
    posts = [post["event"] for post in told.posts if post["room"] == room]
    assert len({event["id"] for event in posts}) == len(STORY)
    assert all(abs(int(event["createdAt"]) - time.time()) < 60 for event in posts)
    assert len({event["room"]["sid"] for event in posts}) == 1
    named = [event for event in posts if event["event"].startswith(("participant", "track"))]
    assert {event["participant"]["identity"] for event in named} == {"ann"}
    tracks = [event["track"] for event in posts if event["event"].startswith("track")]
    assert tracks[0]["sid"] == tracks[1]["sid"] and tracks[0]["sid"].startswith("TR_")


async def test_every_event_is_signed_for_its_body(told, server, join, admin, room):
    await join("ann")
    await until(lambda: told.names(room), "an event")
    post = next(post for post in told.posts if post["room"] == room)
    receiver = api.WebhookReceiver(api.TokenVerifier(server.key, server.secret))
    event = receiver.receive(post["body"], post["auth"])
    assert (event.event, event.room.name) == ("room_started", room)
    assert post["type"] == "application/webhook+json"
    assert not post["auth"].startswith("Bearer")
    mark = api.TokenVerifier(server.key, server.secret).verify(post["auth"]).sha256
    assert base64.b64decode(mark) == hashlib.sha256(post["body"].encode()).digest()
    with pytest.raises(Exception, match="hash mismatch"):
        receiver.receive(post["body"].replace("room_started", "room_stopped"), post["auth"])


async def test_a_refused_event_is_told_again_and_the_order_kept(told, join, admin, room):
    room = f"flaky-{room}"
    await one_call(join, admin, room)
    await until(lambda: "room_finished" in told.names(room), "the end is told", 40)
    assert told.names(room) == STORY
    assert told.names(room, status=500) == STORY


async def test_a_removed_participant_is_told_as_left(told, join, admin, room):
    await join("ann")
    await until(lambda: "participant_joined" in told.names(room), "ann joined")
    await admin.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="ann"))
    await until(lambda: "participant_left" in told.names(room), "ann left")
