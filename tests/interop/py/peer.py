"""A node of py-libp2p, for `../strangers.py`.

    peer.py listen TRANSPORT SECURITY MUXER        prints its address, serves until its input ends
    peer.py dial TRANSPORT SECURITY MUXER ADDRESS  connects, pings, asks who it is, asks for an echo; prints what it saw

Every line of output is a JSON object.
"""

import json
import sys

import trio
from libp2p import create_mplex_muxer_option, create_yamux_muxer_option, new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY_ID
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as Noise
from libp2p.security.tls.transport import PROTOCOL_ID as TLS_ID
from libp2p.security.tls.transport import TLSTransport
from libp2p.utils.varint import read_length_prefixed_protobuf
from multiaddr import Multiaddr

ECHO = TProtocol("/echo/1.0.0")
ECHO_BYTES = 100_000
PATIENCE = 50
PLACES = {"tcp": "/ip4/127.0.0.1/tcp/0", "ws": "/ip4/127.0.0.1/tcp/0/ws", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"}


def say(what):
    print(json.dumps(what), flush=True)


async def send_back(stream):
    """Sends back what comes, and ends when the other side has."""
    try:
        while data := await stream.read(65536):
            await stream.write(data)
    except StreamEOF:
        # Some of its muxers tell the end by nothing, some by this.
        pass
    await stream.close()


def host(transport, security, muxer):
    keys = create_new_key_pair()
    if transport == "quic":
        return new_host(key_pair=keys, enable_quic=True, enable_tcp=False)
    securities = {
        "noise": lambda: {NOISE_ID: Noise(keys, noise_privkey=create_new_x25519_key_pair().private_key)},
        "tls": lambda: {TLS_ID: TLSTransport(keys)},
    }
    muxers = {"yamux": create_yamux_muxer_option, "mplex": create_mplex_muxer_option}
    return new_host(
        key_pair=keys,
        sec_opt=securities[security](),
        muxer_opt=muxers[muxer](),
        enable_websocket=transport == "ws",
        enable_tcp=transport == "tcp",
    )


async def talk(node, address):
    info = info_from_p2p_addr(Multiaddr(address))
    await node.connect(info)
    pings = await PingService(node).ping(info.peer_id, ping_amt=3)
    stream = await node.new_stream(info.peer_id, [IDENTIFY_ID])
    told = parse_identify_response(await read_length_prefixed_protobuf(stream, use_varint_format=True))
    await stream.close()
    stream = await node.new_stream(info.peer_id, [ECHO])
    content = bytes(i % 251 for i in range(ECHO_BYTES))
    came = bytearray()

    async def send():
        for at in range(0, len(content), 10_000):
            await stream.write(content[at : at + 10_000])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        # All of it first: its muxers end more than their own half.
        while len(came) < len(content):
            came += await stream.read(65536)
    await stream.close()
    say(
        {
            "agent": told.agent_version,
            "protocols": list(told.protocols),
            "pings": len(pings),
            "echoed": len(came),
            "right": bytes(came) == content,
        }
    )


async def main():
    role, transport, security, muxer, *address = sys.argv[1:]
    node = host(transport, security, muxer)
    node.set_stream_handler(ECHO, send_back)
    listen = [Multiaddr(PLACES[transport])] if role == "listen" else []
    async with node.run(listen_addrs=listen):
        if role == "listen":
            address = str(node.get_addrs()[0])
            say({"listening": address if "/p2p/" in address else f"{address}/p2p/{node.get_id()}"})
            await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        else:
            with trio.fail_after(PATIENCE):
                await talk(node, address[0])
    # Its own tasks may linger.
    sys.stdout.flush()


trio.run(main)
