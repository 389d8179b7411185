"""Who is let in: tokens good and bad."""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from livekit import rtc
from peer import Peer


def sealed(claims: dict, secret: str, alg: str = "HS256") -> str:
    def part(value) -> str:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    body = f"{part({'alg': alg, 'typ': 'JWT'})}.{part(claims)}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg)
    mark = hmac.new(secret.encode(), body.encode(), digest).digest() if digest else b""
    return f"{body}.{part(mark)}"


def claims(server, **changes) -> dict:
    now = int(time.time())
    whole = {"iss": server.key, "sub": "ann", "nbf": now - 5, "exp": now + 600,
             "video": {"roomJoin": True, "room": "entry"}}
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def ask(server, path: str, token: str | None) -> tuple[int, str, dict]:
    query = f"?access_token={urllib.parse.quote(token)}" if token is not None else ""
    try:
        with urllib.request.urlopen(f"{server.http}{path}{query}", timeout=5) as reply:
            return reply.status, reply.read().decode(), dict(reply.headers)
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode(), dict(refusal.headers)


BAD = {
    "expired": lambda s: sealed(claims(s, exp=int(time.time()) - 600), s.secret),
    "not_yet_valid": lambda s: sealed(claims(s, nbf=int(time.time()) + 600), s.secret),
    "unsigned": lambda s: sealed(claims(s), s.secret, "none"),
    "other_hash": lambda s: sealed(claims(s), s.secret, "HS512"),
    "wrong_secret": lambda s: sealed(claims(s), s.secret + "x"),
    "unknown_key": lambda s: sealed(claims(s, iss="nobody"), s.secret),
    "without_expiry": lambda s: sealed(claims(s, exp=None), s.secret),
    "without_join_grant": lambda s: sealed(claims(s, video={"room": "entry"}), s.secret),
    "garbage": lambda s: "not.a.token",
    "missing": lambda s: None,
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_token_is_refused_with_a_reason(server, kind):
    status, text, headers = ask(server, "/rtc/validate", BAD[kind](server))
    assert status == 401
    assert text.strip(), "the refusal names its reason"
    allowed = {key.lower(): value for key, value in headers.items()}
    assert allowed.get("access-control-allow-origin") == "*", "a browser must be able to read it"


def test_a_good_token_is_accepted(server):
    assert ask(server, "/rtc/validate", sealed(claims(server), server.secret))[:2] == (200, "success")


def test_a_little_clock_skew_is_forgiven(server):
    late = sealed(claims(server, exp=int(time.time()) - 10), server.secret)
    assert ask(server, "/rtc/validate", late)[0] == 200


@pytest.mark.parametrize("change", [{"sub": None}, {"video": {"roomJoin": True}}],
                         ids=["no_identity", "no_room"])
def test_an_incomplete_token_is_refused(server, change):
    status, text, _ = ask(server, "/rtc/validate", sealed(claims(server, **change), server.secret))
    assert status in (400, 401)
    assert text.strip()


async def test_the_client_library_reports_the_refusal(server, room):
    peer = Peer(server, room, "ann")
    with pytest.raises(rtc.ConnectError) as refused:
        await peer.connect(token=BAD["wrong_secret"](server))
    assert "401" in refused.value.message


async def test_a_token_opens_only_its_own_room(server, join):
    await join("ann", room="room-one-" + server.key)
    bob = await join("bob", room="room-two-" + server.key)
    assert not bob.room.remote_participants
    assert bob.room.name == "room-two-" + server.key


def test_the_front_door_answers_ok(server):
    for method in ("GET", "HEAD"):
        request = urllib.request.Request(server.http + "/", method=method)
        with urllib.request.urlopen(request, timeout=5) as reply:
            assert reply.status == 200


def test_a_long_request_line_is_accepted(server):
    token = sealed(claims(server), server.secret)
    path = "/rtc/validate?padding=" + "x" * 12_000 + "&access_token=" + token
    with urllib.request.urlopen(server.http + path, timeout=5) as reply:
        assert reply.status == 200
