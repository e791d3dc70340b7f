"""A BitTorrent client, libtorrent, that speaks uTP and nothing else.

    libtorrent_peer.py seed FOLDER          shares a file that it makes
    libtorrent_peer.py fetch FOLDER PORT    fetches that file from a peer on this machine

Prints one line: the port it listens on, the info-hash, the length of the file and of its pieces. `fetch` prints another
when it has the whole file. Ends when its standard input does.
"""

import hashlib
import os
import sys

import libtorrent as lt

LENGTH = 5_000_000
PIECE = 64 * 1024

role, folder = sys.argv[1:3]
# Every byte differs from its neighbours, and every piece from the others.
data = b"".join(i.to_bytes(4, "big") for i in range(LENGTH // 4))

torrent = lt.create_torrent([lt.create_file_entry("file", LENGTH)], PIECE, flags=lt.create_torrent.v1_only)
for piece in range(torrent.num_pieces()):
    torrent.set_hash(piece, hashlib.sha1(data[piece * PIECE : (piece + 1) * PIECE]).digest())
params = lt.load_torrent_buffer(lt.bencode(torrent.generate()))

session = lt.session(
    {
        "listen_interfaces": "127.0.0.1:0",
        "enable_incoming_tcp": False,
        "enable_outgoing_tcp": False,
        "enable_incoming_utp": True,
        "enable_outgoing_utp": True,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "in_enc_policy": int(lt.enc_policy.pe_disabled),
        "out_enc_policy": int(lt.enc_policy.pe_disabled),
    }
)

if role == "seed":
    with open(os.path.join(folder, "file"), "wb") as file:
        file.write(data)
    params.flags |= lt.torrent_flags.seed_mode
params.save_path = folder
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
handle = session.add_torrent(params)
# Before that it turns peers away.
while handle.status().state not in (lt.torrent_status.seeding, lt.torrent_status.downloading):
    session.wait_for_alert(100)
    session.pop_alerts()
print(session.listen_port(), handle.info_hashes().v1, LENGTH, PIECE, flush=True)

if role == "fetch":
    handle.connect_peer(("127.0.0.1", int(sys.argv[3])))
    while not handle.status().is_seeding:
        session.wait_for_alert(100)
        session.pop_alerts()
    with open(os.path.join(folder, "file"), "rb") as file:
        print("whole" if file.read() == data else "changed", flush=True)

sys.stdin.read()
