"""Calls placed over several nodes: the same on each of them, where their parties are, and away from the dead."""

import asyncio
import json
import time
import uuid

import aiohttp
import pytest
from conftest import server_at
from livekit import api
from peer import Peer, until
from planet import KEY, SECRET

# Round trips that clients would measure, milliseconds. Only the ways between nodes are emulated, so that a client is
# next to whatever node it joins: its own is as near as loopback, and the others too far to be chosen.
NEAR, FAR = 1.0, 400.0
ONE_WAY_TOKYO_PARIS = 107.0


def party(role: str, identity: str, near: str) -> dict:
    names = ["tokyo", "paris", "virginia"]
    probes = [{"node": name, "rtt_ms": NEAR if name == near else FAR, "samples": 5} for name in names]
    return {"role": role, "identity": identity, "probes": probes}


def far_apart() -> dict:
    parties = [party("shopper", "yuki", "tokyo"), party("agent", "aline", "paris")]
    return {"language": "ja", "parties": parties}


class Application:
    """Holder of an API key, who may ask any node."""

    def __init__(self, planet, session: aiohttp.ClientSession):
        self.planet, self.session = planet, session
        grants = api.VideoGrants(room_create=True, room_list=True)
        token = api.AccessToken(KEY, SECRET).with_grants(grants).to_jwt()
        self.headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, at: str, method: str, path: str, body: dict | None = None, **headers) -> tuple[int, dict]:
        url = self.planet.nodes[at].http + path
        async with self.session.request(method, url, json=body, headers=self.headers | headers) as answer:
            return answer.status, json.loads(await answer.text())

    async def get(self, at: str, path: str) -> dict:
        status, answer = await self.ask(at, "GET", path)
        assert status == 200, answer
        return answer

    async def create(self, at: str, body: dict) -> dict:
        status, answer = await self.ask(at, "POST", "/v1/calls", body)
        assert status == 201, answer
        return answer

    async def get_until(self, at: str, path: str, check, what: str, seconds: float = 20.0) -> dict:
        deadline = time.monotonic() + seconds
        while True:
            status, answer = await self.ask(at, "GET", path)
            if status == 200 and check(answer):
                return answer
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}; {status} {answer}"
            await asyncio.sleep(0.1)


@pytest.fixture
async def application(planet):
    async with aiohttp.ClientSession() as session:
        asking = Application(planet, session)
        for name in planet.nodes:
            measured = lambda seen: len([link for link in seen["links"] if link["rtt_ms"] > 50]) == 6  # noqa: E731
            await asking.get_until(name, "/v1/operator/overview", measured, "all ways are measured")
        yield asking


@pytest.fixture
async def admit():
    """Joins somebody with what the call API gave, and takes them out again afterwards."""
    peers: list[Peer] = []

    async def joined(given: dict) -> Peer:
        peer = Peer(server_at(given["url"]), given["room"], given["identity"])
        peers.append(peer)
        await peer.connect(token=given["token"])
        return peer

    yield joined
    for peer in peers:
        await peer.leave()


def given(created: dict, identity: str) -> dict:
    return next(party for party in created["parties"] if party["identity"] == identity)


async def test_a_call_lands_where_its_parties_are_and_takes_as_long_as_predicted(planet, application, admit):
    created = await application.create("virginia", far_apart())
    call = created["call"]["id"]
    assert given(created, "yuki")["url"] == planet.nodes["tokyo"].url
    assert given(created, "aline")["url"] == planet.nodes["paris"].url
    yuki, aline = await asyncio.gather(*(admit(given(created, name)) for name in ("yuki", "aline")))
    await asyncio.gather(yuki.speak(440), aline.speak(880))
    await asyncio.gather(yuki.hears("aline", 880), aline.hears("yuki", 440))

    path = f"/v1/calls/{call}/placement"
    shown = await application.get_until("virginia", path, lambda seen: seen["measured_ms"], "it is measured")
    assert set(shown["nodes"]) == {"tokyo", "paris"}
    assert shown["predicted_ms"] == pytest.approx(ONE_WAY_TOKYO_PARIS, rel=0.1)
    assert shown["measured_ms"] == pytest.approx(shown["predicted_ms"], rel=0.1)
    assert await one_way_ms(yuki, aline) == pytest.approx(shown["predicted_ms"], rel=0.1)


async def one_way_ms(sender: Peer, receiver: Peer, packets: int = 40) -> float:
    """The least delay of small data packets: what the network takes, without what a busy test machine adds."""
    before = len(receiver.data())
    arrivals: list[float] = []
    receiver.room.on("data_received", lambda _: arrivals.append(time.monotonic()))
    sent = []
    for number in range(packets):
        sent.append(time.monotonic())
        await sender.local.publish_data(number.to_bytes(4, "big"))
        await asyncio.sleep(0.02)
    await until(lambda: len(receiver.data()) >= before + packets, "all packets arrive")
    return min(at - when for at, when in zip(arrivals, sent, strict=True)) * 1_000


async def test_every_node_shows_and_ends_the_same_call(planet, application, admit):
    created = await application.create("virginia", far_apart())
    path = f"/v1/calls/{created['call']['id']}"
    yuki = await admit(given(created, "yuki"))
    for name in planet.nodes:
        seen = await application.get_until(name, path, lambda call: call["state"] == "answered", "yuki is there")
        where = {party["identity"]: (party["node"], party["state"]) for party in seen["parties"]}
        assert where == {"yuki": ("tokyo", "here"), "aline": ("paris", "expected")}
    status, _ = await application.ask("paris", "DELETE", path)
    assert status == 200
    await until(lambda: yuki.told("disconnected"), "the room is closed")
    for name in planet.nodes:
        await application.get_until(name, path, lambda call: call["end_reason"] == "requested", "it ended")


async def test_a_request_sent_to_two_nodes_at_once_makes_one_call(application):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    nodes = ("tokyo", "paris", "virginia")
    answers = await asyncio.gather(*(application.ask(at, "POST", "/v1/calls", far_apart(), **key) for at in nodes))
    assert sorted(status for status, _ in answers) == [200, 200, 201]
    calls = [answer["call"] for _, answer in answers]
    assert all(call["id"] == calls[0]["id"] for call in calls)
    assert all(call["created_at_ms"] == calls[0]["created_at_ms"] for call in calls)
    other = far_apart() | {"language": "fr"}
    status, _ = await application.ask("paris", "POST", "/v1/calls", other, **key)
    assert status == 409, "another request under the same key"
    listed = await application.get("tokyo", "/v1/calls")
    assert [call["id"] for call in listed["calls"]] == [calls[0]["id"]]


async def test_clients_are_shown_every_edge_to_measure(planet, application):
    for name in planet.nodes:
        edges = (await application.get(name, "/v1/edges"))["edges"]
        assert {edge["node"] for edge in edges} == set(planet.nodes)
        for edge in edges:
            assert edge["url"] == planet.nodes[edge["node"]].http
            async with application.session.get(edge["probe_url"]) as answer:
                assert answer.status == 204


async def test_whoever_was_on_a_killed_node_has_left_the_call(planet, application, admit):
    created = await application.create("virginia", far_apart())
    path = f"/v1/calls/{created['call']['id']}"
    await admit(given(created, "yuki"))

    def is_now(state: str):
        return lambda seen: {party["identity"]: party["state"] for party in seen["parties"]}["yuki"] == state

    for name in planet.nodes:
        await application.get_until(name, path, is_now("here"), "she is there")
    planet.kill("tokyo")
    for name in ("virginia", "paris"):
        await application.get_until(name, path, is_now("left"), "she has left", 5)


async def test_new_calls_avoid_a_killed_node(planet, application, admit):
    planet.kill("tokyo")
    without = lambda seen: {edge["node"] for edge in seen["edges"]} == {"paris", "virginia"}  # noqa: E731
    await application.get_until("virginia", "/v1/edges", without, "the death is noticed", 3)
    created = await application.create("virginia", far_apart())
    placement = created["call"]["placement"]
    assert "tokyo" not in placement["nodes"] + placement["standby"]
    assert all(party["node"] != "tokyo" for party in created["parties"])
    yuki, aline = await asyncio.gather(*(admit(given(created, name)) for name in ("yuki", "aline")))
    await asyncio.gather(yuki.speak(440), aline.hears("yuki", 440))
