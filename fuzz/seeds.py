#!/usr/bin/env python3
"""Writes the hand-made inputs of the corpora. Run it after changing an input's form, then commit the result."""

import base64
import gzip
import hashlib
import hmac
import json
import struct
from pathlib import Path

HERE = Path(__file__).parent
NOW = 1_800_000_000
OFFER = (HERE / "src/offer.sdp").read_bytes()


def write(target: str, name: str, content: bytes) -> None:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


# Protobuf (https://protobuf.dev/programming-guides/encoding/)


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def num(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def sub(field: int, content: bytes | str) -> bytes:
    if isinstance(content, str):
        content = content.encode()
    return varint(field << 3 | 2) + varint(len(content)) + content


# Datagrams


def record(tag: int, content: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">BH", tag, len(content) if length is None else length) + content


RAW, CHECK, PASS, TCP = range(4)


def sender(number: int) -> int:
    return number << 2


def stun(kind: int, attributes: bytes) -> bytes:
    """RFC 8489 section 5."""
    return struct.pack(">HHI", kind, len(attributes), 0x2112A442) + bytes(range(12)) + attributes


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def stranger_request() -> bytes:
    """A binding request of a well-formed client that belongs nowhere here."""
    attributes = attribute(0x0006, b"nobody:knows") + attribute(0x0024, struct.pack(">I", 1853824767))
    attributes += attribute(0x802A, bytes(8)) + attribute(0x0025, b"")
    head = stun(0x0001, attributes)
    head = head[:2] + struct.pack(">H", len(attributes) + 24) + head[4:]
    return head + attribute(0x0008, hmac.new(b"guess", head, hashlib.sha1).digest())


def client_hello() -> bytes:
    """DTLS 1.2 (RFC 6347) with use_srtp (RFC 5764)."""

    def extension(kind: int, content: bytes) -> bytes:
        return struct.pack(">HH", kind, len(content)) + content

    extensions = extension(10, b"\0\2\0\x17") + extension(11, b"\1\0") + extension(13, b"\0\2\4\3")
    extensions += extension(14, b"\0\2\0\7\0") + extension(23, b"")
    body = b"\xfe\xfd" + bytes(range(32)) + b"\0\0" + b"\0\2\xc0\x2b" + b"\1\0"
    body += struct.pack(">H", len(extensions)) + extensions
    size = struct.pack(">I", len(body))[1:]
    handshake = b"\1" + size + b"\0\0" + b"\0\0\0" + size + body
    return b"\x16\xfe\xfd" + b"\0\0" + bytes(6) + struct.pack(">H", len(handshake)) + handshake


def rtp() -> bytes:
    """RFC 3550 section 5.1, with a one-byte header extension (RFC 8285)."""
    head = struct.pack(">BBHII", 0x90, 0x80 | 111, 7, 48_000, 0x11223344)
    return head + b"\xbe\xde\0\1\x10\x9e\0\0" + bytes(40)


def receiver_report() -> bytes:
    return struct.pack(">BBHI", 0x81, 201, 7, 1) + struct.pack(">IIIIII", 0x11223344, 1 << 24, 7, 0, 0, 0)


def datagrams() -> None:
    hello, request = client_hello(), stranger_request()
    one = sender(1)
    write("demux", "ok-check", record(CHECK))
    write("demux", "ok-check-then-client-hello", record(CHECK) + record(RAW, hello) + record(PASS, length=1500))
    write("demux", "ok-check-then-rtp-and-rtcp", record(CHECK) + record(RAW, rtp()) + record(RAW, receiver_report()))
    write("demux", "ok-checks-from-two-addresses", record(CHECK) + record(CHECK | one) + record(RAW | one, hello))
    write("demux", "ok-time-passes", record(PASS, length=2000) * 8 + record(CHECK))
    write("demux", "bad-stranger-check", record(RAW, request))
    write("demux", "bad-stranger-check-over-tcp", record(TCP, request))
    write("demux", "bad-check-cut-off", record(RAW, request[:27]))
    write("demux", "bad-length-beyond-datagram", record(RAW, request[:2] + b"\xff\xfc" + request[4:]))
    write("demux", "bad-response-nobody-asked-for", record(RAW, stun(0x0101, attribute(0x0020, b"\0\1" + bytes(6)))))
    write("demux", "bad-client-hello-of-stranger", record(RAW, hello))
    write("demux", "bad-client-hello-from-other-address", record(CHECK) + record(RAW | one, hello))
    write("demux", "bad-rtp-of-stranger", record(RAW, rtp()))
    write("demux", "bad-rtcp-of-stranger", record(RAW, receiver_report()))
    write("demux", "bad-empty-datagram", record(RAW))
    write("demux", "bad-turn-channel-data", record(RAW, b"\x40\0\0\4abcd"))


# Signalling: field numbers of livekit_rtc.proto and livekit_models.proto


def signal(field: int, content: bytes) -> bytes:
    return sub(field, content)


def description(kind: str, sdp: bytes, number: int = 1) -> bytes:
    return sub(1, kind) + sub(2, sdp) + num(3, number)


def add_track(cid: str, kind: int, source: int) -> bytes:
    return sub(1, cid) + sub(2, cid) + num(3, kind) + num(8, source)


MICROPHONE = add_track("microphone", 0, 2)
CAMERA = add_track("camera", 1, 1) + num(4, 1280) + num(5, 720) + b"".join(
    sub(9, num(1, quality) + num(2, width) + num(3, height))
    for quality, width, height in ((0, 320, 180), (1, 640, 360), (2, 1280, 720))
)


def signals() -> None:
    dual, single = b"\0", b"\1"

    def binary(*messages: bytes) -> bytes:
        return b"".join(record(0, message) for message in messages)

    def text(*messages: object) -> bytes:
        return b"".join(record(1, json.dumps(message).encode()) for message in messages)

    offer = signal(1, description("offer", OFFER))
    candidate = json.dumps({"candidate": "candidate:1 1 udp 2122260223 198.51.100.1 40001 typ host", "sdpMid": "0"})
    publish = binary(signal(4, MICROPHONE), signal(4, CAMERA), offer)
    write("signal_message", "ok-publish-on-one-connection", single + publish)
    write("signal_message", "ok-publish-on-two-connections", dual + publish)
    write("signal_message", "ok-candidate", dual + binary(offer, signal(3, sub(1, candidate))))
    write("signal_message", "ok-ping", single + binary(varint(14 << 3) + varint(NOW), signal(16, num(1, NOW) + num(2, 40))))
    write("signal_message", "ok-settings-of-unknown-track", single + binary(signal(7, sub(1, "TR_none") + num(3, 1))))
    write("signal_message", "ok-metadata", single + binary(signal(15, sub(1, "m") + sub(2, "Aiko") + sub(3, sub(1, "k") + sub(2, "v")))))
    write("signal_message", "ok-permission", single + binary(signal(11, num(1, 0) + sub(2, sub(1, "PA_x") + num(2, 1)))))
    write("signal_message", "ok-simulate-leave", single + binary(signal(13, num(4, 1))))
    write("signal_message", "ok-leave-then-more", single + binary(signal(8, num(2, 1)), offer))
    write("signal_message", "ok-unknown-message", single + binary(sub(900, b"from a newer client")))
    write("signal_message", "ok-text", single + text({"addTrack": {"cid": "microphone", "type": "AUDIO"}}, {"ping": "1800000000000"}))
    write("signal_message", "ok-nonsense-offer", single + binary(signal(1, description("offer", b"v=0\r\nm="))))
    write("signal_message", "bad-not-protobuf", single + record(0, b"\xff\xff\xff\xff"))
    write("signal_message", "bad-not-json", single + record(1, b"{"))
    write("signal_message", "bad-candidate", dual + binary(signal(3, sub(1, "{"))))
    write("signal_message", "bad-long-sid", single + binary(signal(5, sub(1, "T" * 65))))
    write("signal_message", "bad-too-many-fields", single + record(0, signal(6, b"\x0a\0" * 20_001)))


def joins() -> None:
    v0, v1, plain, packed = b"\0", b"\1", b"\2", b"\3"
    client = sub(1, num(1, 9) + sub(2, "1.2.1") + num(3, 17) + sub(4, "linux"))
    settings = sub(2, num(1, 1) + num(2, 1))
    offer = sub(6, description("offer", OFFER))
    request = client + settings + sub(5, MICROPHONE) + sub(5, CAMERA) + offer
    wrapper = base64.urlsafe_b64encode(num(1, 1) + sub(2, gzip.compress(request, mtime=0)))
    attributes = base64.urlsafe_b64encode(b'{"locale":"ja"}').rstrip(b"=")
    write("join_request", "ok-bare", v0)
    write("join_request", "ok-browser", v0 + b"sdk=js&version=2.15.6&protocol=16&auto_subscribe=1&adaptive_stream=true&browser=Firefox&os=Linux")
    write("join_request", "ok-attributes", v0 + b"attributes=" + attributes)
    write("join_request", "ok-reconnect", v0 + b"reconnect=1&sid=PA_1&protocol=15")
    write("join_request", "ok-wrapped", v1 + b"join_request=" + wrapper.rstrip(b"="))
    write("join_request", "ok-with-offer", plain + request)
    write("join_request", "ok-compressed", packed + gzip.compress(request, mtime=0))
    write("join_request", "ok-resume", plain + client + num(7, 1) + sub(9, "PA_1") + offer)
    write("join_request", "bad-no-join-request", v1 + b"protocol=16")
    write("join_request", "bad-base64", v1 + b"join_request=%25")
    write("join_request", "bad-attributes", v0 + b"attributes=" + base64.urlsafe_b64encode(b"[1]").rstrip(b"="))
    write("join_request", "bad-protobuf", plain + b"\xff\xff\xff")
    write("join_request", "bad-gzip", packed + b"\x1f\x8b\x08\0garbage")
    write("join_request", "bad-gzip-bomb", packed + gzip.compress(bytes(2 << 20), mtime=0))
    write("join_request", "bad-too-many-tracks", plain + sub(5, MICROPHONE) * 65)


def descriptions() -> None:
    finish, single, dual, answer = b"\0", b"\1", b"\2", b"\3"
    firefox = bytes([2 << 2])
    write("sdp", "ok-finish", finish + OFFER)
    write("sdp", "ok-finish-for-firefox", firefox + OFFER)
    write("sdp", "ok-finish-odd-lines", finish + b"v=0\nm=audio 9 X 111\r\na=mid:0\n\r\na=fmtp:111\na=sendrecv\rm=\r\nm=video\na=mid:1")
    write("sdp", "ok-offer", single + OFFER)
    write("sdp", "ok-offer-on-two-connections", dual + OFFER)
    write("sdp", "ok-answer", answer + OFFER.replace(b"a=setup:actpass", b"a=setup:active"))
    write("sdp", "bad-empty", single)
    write("sdp", "bad-cut-off", single + OFFER[: len(OFFER) // 2])
    write("sdp", "bad-no-fingerprint", single + b"".join(l for l in OFFER.splitlines(True) if b"fingerprint" not in l))
    write("sdp", "bad-huge-numbers", single + OFFER.replace(b" 111", b" 99999999999999999999"))
    write("sdp", "bad-not-sdp", dual + bytes(range(256)))


def jwt(claims: dict, secret: bytes = b"secret", header: dict | None = None) -> bytes:
    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    message = part(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims).encode())
    return message + b"." + part(hmac.new(secret, message, hashlib.sha256).digest())


def tokens() -> None:
    whole, claims = b"\0", b"\1"
    grants = {"roomJoin": True, "room": "order-17", "canPublishSources": ["camera", "microphone"]}
    good = {"iss": "devkey", "sub": "shopper-7", "nbf": NOW - 5, "exp": NOW + 600, "name": "Aiko", "video": grants}
    full = good | {
        "metadata": "m", "attributes": {"k": "v"}, "kind": "agent", "sha256": "eA==",
        "roomConfig": {"emptyTimeout": 60, "maxParticipants": 4}, "sip": {"call": True},
    }
    write("token", "ok-join", whole + jwt(good))
    write("token", "ok-signed-claims", claims + json.dumps(full).encode())
    write("token", "ok-within-leeway", whole + jwt(good | {"exp": NOW - 30}))
    write("token", "bad-expired", whole + jwt(good | {"exp": NOW - 120}))
    write("token", "bad-not-yet", whole + jwt(good | {"nbf": NOW + 120}))
    write("token", "bad-no-expiry", whole + jwt({key: good[key] for key in ("iss", "sub", "video")}))
    write("token", "bad-secret", whole + jwt(good, secret=b"guess"))
    write("token", "bad-key", whole + jwt(good | {"iss": "nobody"}))
    write("token", "bad-unsigned", whole + jwt(good, header={"alg": "none"}))
    write("token", "bad-algorithm", whole + jwt(good, header={"alg": "HS512"}))
    write("token", "bad-critical-header", whole + jwt(good, header={"alg": "HS256", "crit": ["b64"], "b64": False}))
    write("token", "bad-two-parts", whole + jwt(good).rsplit(b".", 1)[0])
    write("token", "bad-long-identity", claims + json.dumps(good | {"sub": "x" * 257}).encode())
    write("token", "bad-not-json", claims + b"{")


def messages() -> None:
    participant, agent = b"\0", b"\1"
    user = sub(2, b"hello") + sub(4, "topic") + sub(1, "PA_somebody_else") + sub(5, "somebody-else")
    chat = sub(9, sub(1, "id") + num(2, NOW) + sub(4, "hello"))
    write("data_packet", "ok-user", participant + num(1, 0) + sub(2, user))
    write("data_packet", "ok-named-recipients", participant + sub(2, user + sub(6, "agent-1") + sub(3, "PA_9")))
    write("data_packet", "ok-numbered", participant + sub(2, user) + num(16, 12))
    write("data_packet", "ok-two-users", participant + sub(2, user) + sub(2, sub(5, "a-third")))
    write("data_packet", "ok-user-then-chat", participant + sub(2, user) + chat)
    write("data_packet", "ok-agent-for-others", agent + sub(4, "shopper-8") + chat)
    write("data_packet", "ok-no-agent-for-others", participant + sub(4, "shopper-8") + chat)
    write("data_packet", "ok-stream-chunk", participant + sub(5, "agent-1") + sub(14, sub(1, "s") + num(2, 3) + sub(3, bytes(64))))
    write("data_packet", "ok-unknown-kind", participant + sub(77, b"from a newer client"))
    write("data_packet", "ok-empty", participant)
    write("data_packet", "bad-length-beyond-message", participant + b"\x12\x7fabc")
    write("data_packet", "bad-identity-not-text", participant + sub(4, b"\xff\xfe"))
    write("data_packet", "bad-group", participant + b"\x13\x14")
    write("data_packet", "bad-too-many-recipients", participant + sub(5, "a") * 4097)


def calls() -> None:
    create, list_rooms, participants, mute, update, data = 0, 1, 3, 6, 7, 9
    as_json, forbidden = 16, 32

    def call(method: int, body: bytes) -> bytes:
        return bytes([method]) + body

    write("twirp", "ok-create", call(create, sub(1, "order-18") + num(2, 60) + num(3, 4) + sub(5, "m")))
    write("twirp", "ok-create-json", call(create | as_json, b'{"name": "order-18", "empty_timeout": 60, "maxParticipants": 4}'))
    write("twirp", "ok-list", call(list_rooms, b""))
    write("twirp", "ok-list-participants", call(participants | as_json, b'{"room": "order-17"}'))
    write("twirp", "ok-mute", call(mute, sub(1, "order-17") + sub(2, "shopper-7") + sub(3, "TR_x") + num(4, 1)))
    write("twirp", "ok-update", call(update | as_json, b'{"room": "order-17", "identity": "shopper-7", "permission": {"canPublish": false}}'))
    write("twirp", "ok-send-data", call(data, sub(1, "order-17") + sub(2, b"hello") + num(3, 1) + sub(5, "topic")))
    write("twirp", "bad-forbidden", call(list_rooms | forbidden, b""))
    write("twirp", "bad-other-room", call(participants, sub(1, "order-99")))
    write("twirp", "bad-method", call(15, b""))
    write("twirp", "bad-protobuf", call(create, b"\xff\xff"))
    write("twirp", "bad-json", call(create | as_json, b"{"))


if __name__ == "__main__":
    for seeds in (datagrams, signals, joins, descriptions, tokens, messages, calls):
        seeds()
