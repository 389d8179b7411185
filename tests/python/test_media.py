"""Audio and video between participants."""

import asyncio

import pytest
from livekit import rtc
from peer import Eye, level, never, until


async def never_grows(eye: Eye) -> None:
    start = eye.frames
    await never(lambda: eye.frames > start, "a frame came")


@pytest.mark.parametrize("v0", [False, True], ids=["v1", "v0"])
async def test_two_participants_hear_and_see_each_other(join, v0):
    ann, bob = await join("ann", v0=v0), await join("bob", v0=v0)
    await asyncio.gather(ann.speak(440), ann.show("red"), bob.speak(880), bob.show("blue"))
    await asyncio.gather(bob.hears("ann", 440), bob.sees("ann", "red"),
                         ann.hears("bob", 880), ann.sees("bob", "blue"))


async def test_a_single_and_a_dual_connection_client_share_a_room(join):
    old, new = await join("old", v0=True), await join("new")
    await asyncio.gather(old.speak(500), old.show("green"), new.speak(700), new.show("red"))
    await asyncio.gather(new.hears("old", 500), new.sees("old", "green"),
                         old.hears("new", 700), old.sees("new", "red"))


@pytest.mark.parametrize("v0", [False, True], ids=["v1", "v0"])
async def test_a_late_joiner_gets_what_was_published_before(join, v0):
    ann, bob = await join("ann"), await join("bob")
    await asyncio.gather(ann.speak(440), ann.show("red"), bob.speak(880), bob.show("blue"))
    await ann.sees("bob", "blue")
    late = await join("late", v0=v0)
    assert set(late.room.remote_participants) == {"ann", "bob"}
    await asyncio.gather(late.hears("ann", 440), late.sees("ann", "red"),
                         late.hears("bob", 880), late.sees("bob", "blue"))


async def test_each_colour_and_tone_arrives_under_its_publisher(join):
    hues = {"p1": ("red", 400), "p2": ("green", 600), "p3": ("blue", 900)}
    watcher = await join("watcher")
    for identity, (colour, hertz) in hues.items():
        peer = await join(identity)
        await asyncio.gather(peer.show(colour, width=320, height=180), peer.speak(hertz))
    for identity, (colour, hertz) in hues.items():
        await watcher.sees(identity, colour)
        await watcher.hears(identity, hertz)
    assert set(watcher.eyes) == {(identity, "picture") for identity in hues}


async def test_more_tracks_than_the_first_offer_has_room_for(join):
    watcher = await join("watcher")
    colours = ["red", "green", "blue", "grey"]
    for number, colour in enumerate(colours):
        peer = await join(f"p{number}")
        await peer.show(colour, width=320, height=180)
        await peer.speak(400 + 100 * number)
    for number, colour in enumerate(colours):
        await watcher.sees(f"p{number}", colour)
        await watcher.hears(f"p{number}", 400 + 100 * number)


async def test_a_second_track_of_the_same_participant_keeps_its_name(join):
    ann, bob = await join("ann"), await join("bob")
    await ann.show("red", name="front")
    await ann.show("green", name="back")
    await asyncio.gather(bob.sees("ann", "red", "front"), bob.sees("ann", "green", "back"))


async def test_a_newcomer_after_a_leaver_is_seen_as_himself(join):
    watcher, first = await join("watcher"), await join("first")
    await first.show("red")
    await watcher.sees("first", "red")
    await first.leave()
    await until(lambda: not watcher.remote("first"), "first is gone")
    second = await join("second")
    await second.show("blue")
    await watcher.sees("second", "blue")


async def test_mute_and_unmute_reach_the_others(join):
    ann, bob = await join("ann"), await join("bob")
    publication = await ann.speak(440)
    ear = await bob.hears("ann", 440)
    publication.track.mute()
    await until(lambda: bob.told("track_muted"), "bob is told of the mute")
    assert bob.publication("ann", "voice").muted
    await until(lambda: ear.frequency() == 0.0, "silence while muted")
    publication.track.unmute()
    await until(lambda: bob.told("track_unmuted"), "bob is told of the unmute")
    ear.forget()
    await bob.hears("ann", 440)


async def test_muted_video_stops_and_comes_back(join):
    ann, bob = await join("ann"), await join("bob")
    publication = await ann.show("green")
    eye = await bob.sees("ann", "green")
    publication.track.mute()
    await until(lambda: bob.told("track_muted"), "bob is told of the mute")
    publication.track.unmute()
    await until(lambda: bob.told("track_unmuted"), "bob is told of the unmute")
    await bob.sees_growth(eye)


async def test_unpublished_track_goes_away_and_can_come_again(join):
    ann, bob = await join("ann"), await join("bob")
    publication = await ann.show("red")
    await bob.sees("ann", "red")
    await ann.local.unpublish_track(publication.sid)
    await until(lambda: bob.told("track_unsubscribed"), "bob loses the track")
    await until(lambda: bob.publication("ann", "picture") is None, "the publication is gone")
    bob.eyes.clear()
    again = await ann.show("blue")
    assert again.sid != publication.sid
    await bob.sees("ann", "blue")


async def test_subscriber_chooses_a_lower_layer_and_comes_back(join):
    ann, bob = await join("ann"), await join("bob")
    await ann.show("red", width=1280, height=720)
    eye = await bob.sees("ann", "red")
    publication = bob.publication("ann", "picture")
    assert publication.simulcasted
    await until(lambda: eye.size == (1280, 720), f"the full size; is {eye.size}", 25)
    publication.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
    await until(lambda: eye.size == (320, 180), "the smallest layer", 10)
    await bob.sees("ann", "red")
    publication.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_HIGH)
    await until(lambda: eye.size == (1280, 720), "the full size again", 25)
    await bob.sees("ann", "red")


async def test_two_subscribers_hold_different_layers_of_one_track(join):
    ann, bob, eve = await join("ann"), await join("bob"), await join("eve")
    await ann.show("green", width=1280, height=720)
    wide, small = await bob.sees("ann", "green"), await eve.sees("ann", "green")
    eve.publication("ann", "picture").set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
    await until(lambda: small.size == (320, 180), "eve has the small layer")
    await until(lambda: wide.size == (1280, 720), "bob has the large layer", 25)
    await asyncio.gather(bob.sees_growth(wide), eve.sees_growth(small))
    assert (small.size, wide.size) == ((320, 180), (1280, 720))


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "AV1"])
async def test_every_codec_of_the_sdk_passes(join, codec):
    ann, bob = await join("ann"), await join("bob")
    await ann.show("blue", codec=codec, simulcast=codec in ("VP8", "H264"))
    eye = await bob.sees("ann", "blue", seconds=20)
    await bob.sees_growth(eye)
    assert bob.publication("ann", "picture").mime_type.lower() == f"video/{codec.lower()}"


async def test_subscription_off_and_on(join):
    ann, bob = await join("ann"), await join("bob")
    await ann.show("red")
    eye = await bob.sees("ann", "red")
    publication = bob.publication("ann", "picture")
    publication.set_subscribed(False)
    await until(lambda: bob.told("track_unsubscribed"), "the track is taken away")
    await asyncio.sleep(0.5)
    await never_grows(eye)
    bob.eyes.clear()
    publication.set_subscribed(True)
    await bob.sees("ann", "red")


async def test_without_auto_subscribe_only_asked_tracks_come(join):
    ann = await join("ann")
    await asyncio.gather(ann.show("red"), ann.speak(440))
    bob = await join("bob", options={"auto_subscribe": False})
    await until(lambda: bob.publication("ann", "picture") and bob.publication("ann", "voice"),
                "the publications are listed")
    await never(lambda: bob.told("track_subscribed"), "a track came unasked")
    bob.publication("ann", "voice").set_subscribed(True)
    await bob.hears("ann", 440)
    assert not bob.eyes


async def test_publisher_can_bar_a_subscriber(join):
    ann, bob, eve = await join("ann"), await join("bob"), await join("eve")
    await ann.speak(440)
    await asyncio.gather(bob.hears("ann", 440), eve.hears("ann", 440))
    allowed = rtc.ParticipantTrackPermission(participant_identity="bob", allow_all=True)
    ann.local.set_track_subscription_permissions(
        allow_all_participants=False, participant_permissions=[allowed])
    await until(lambda: eve.ears["ann", "voice"].frequency() == 0.0, "eve hears nothing any more")
    await bob.hears("ann", 440)
    ann.local.set_track_subscription_permissions(allow_all_participants=True)
    await eve.hears("ann", 440)
    assert not bob.told("track_unsubscribed")


async def test_encrypted_media_passes_with_the_key_only(join):
    def sealed(key: bytes) -> dict:
        return {"encryption": rtc.E2EEOptions(rtc.KeyProviderOptions(shared_key=key))}

    ann = await join("ann", options=sealed(b"common key"))
    bob = await join("bob", options=sealed(b"common key"))
    eve = await join("eve", options=sealed(b"other key"))
    await asyncio.gather(ann.speak(440), ann.show("green"))
    await asyncio.gather(bob.hears("ann", 440), bob.sees("ann", "green"))
    assert bob.publication("ann", "voice").encryption_type == rtc.EncryptionType.GCM
    ear = await until(lambda: eve.ears.get(("ann", "voice")), "eve gets the sealed track")
    await asyncio.sleep(2)
    assert level(ear.samples()[-24_000:]) < 200, "eve hears sound without the key"
    assert not eve.eyes["ann", "picture"].shows("green")


async def test_the_speaker_is_named_and_unnamed(join):
    ann, bob = await join("ann"), await join("bob")
    publication = await ann.speak(440)

    def speaking() -> list[str]:
        told = bob.told("active_speakers_changed")
        return [p.identity for p in told[-1][0]] if told else []

    await until(lambda: speaking() == ["ann"], "ann is the speaker")
    publication.track.mute()
    await until(lambda: speaking() == [], "nobody speaks any more")


async def test_connection_quality_is_told(join):
    ann, bob = await join("ann"), await join("bob")
    await asyncio.gather(ann.speak(440), ann.show("red"))
    await bob.hears("ann", 440)
    await until(lambda: bob.told("connection_quality_changed"), "a quality event", 15)
    assert rtc.ConnectionQuality.QUALITY_LOST not in [e[1] for e in bob.told("connection_quality_changed")]
