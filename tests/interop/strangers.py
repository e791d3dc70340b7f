#!/usr/bin/env python3
"""The program `stackwire` with nodes of js-libp2p and py-libp2p, each a process of its own.

    strangers.py PROGRAM [js|py]...

Both roles: our tools ping, identify and echo their node; their node does the same with `stackwire run`. Their packages
come from npm and PyPI, pinned by `js/package-lock.json` and `py/requirements.txt`, into a folder beside PROGRAM. Where
they can't be had (no node, no pip, no network) the script says so and leaves them out. Exit code 1: something that should
work did not.
"""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# For what hangs; everything takes a moment.
LIMIT = 60
INSTALLING = 240
ECHO_BYTES = "100000"

# Transport, security, muxer. js and py bring no QUIC that runs everywhere: js's needs a native module of its own.
MIXES = {
    "js": [
        ("tcp", "noise", "yamux"),
        ("tcp", "tls", "yamux"),
        ("ws", "noise", "yamux"),
        ("tcp", "noise", "mplex"),
    ],
    "py": [
        ("tcp", "noise", "yamux"),
        ("tcp", "tls", "yamux"),
        ("ws", "noise", "yamux"),
        ("quic", "-", "-"),
    ],
}
# What can't be held against us, and why.
LEFT_OUT = {
    ("py", "quic", "they dial"): "py-libp2p 0.8 takes a STOP_SENDING, which everyone sends who has answered and wants "
    "no more, for the end of both directions, and in two of five runs refuses to read the answer that came with it",
}
PLACES = {"tcp": "/ip4/127.0.0.1/tcp/0", "ws": "/ip4/127.0.0.1/tcp/0/ws", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"}
OURS = {"tcp": "tcp", "ws": "websocket", "quic": "quic"}


class Unavailable(Exception):
    """Their side can't be had here."""


class Failed(Exception):
    """Something that should work did not."""


def install(command, folder):
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALLING)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise Unavailable(f"{' '.join(command[:2])} says: {said[-1]}")


def fresh(folder, lock):
    """Whether `folder` was filled by another lock file, or not to the end."""
    mark = folder / "installed"
    return not mark.is_file() or mark.read_bytes() != lock.read_bytes()


def js(work):
    if not shutil.which("node") or not shutil.which("npm"):
        raise Unavailable("no node, or no npm")
    version = subprocess.run(["node", "-p", "process.versions.node"], capture_output=True, text=True).stdout.strip()
    major = int(version.split(".")[0] or 0)
    if major < 20:
        raise Unavailable(f"node {version} is older than 20")
    folder, source = work / "js", HERE / "js"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ["package.json", "package-lock.json", "peer.mjs"]:
        shutil.copy(source / name, folder / name)
    lock = source / "package-lock.json"
    if fresh(folder, lock):
        install(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        shutil.copy(lock, folder / "installed")
    # Node 20 has the WebSocket that dialing takes, but behind a flag.
    flags = ["--experimental-websocket"] if major < 22 else []
    return ["node", *flags, str(folder / "peer.mjs")]


def py(work):
    if sys.version_info < (3, 10):
        raise Unavailable("Python is older than 3.10")
    folder, lock = work / "py", HERE / "py" / "requirements.txt"
    python = folder / "bin" / "python"
    if fresh(folder, lock):
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        install([sys.executable, "-m", "venv", str(folder)], HERE)
        install([str(python), "-m", "pip", "install", "-q", "-r", str(lock)], HERE)
        shutil.copy(lock, folder / "installed")
    return [str(python), str(HERE / "py" / "peer.py")]


class Server:
    """A process that serves until it is stopped."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def line(self, what):
        """Its next line, as JSON."""
        end = time.monotonic() + LIMIT
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not more:
                raise Failed(f"no {what}: it " + ("ended" if ready else f"said nothing for {LIMIT} s"))
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)


def run(command):
    """The last line that a command says, as JSON."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[1]}: not within {LIMIT} s") from error
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = lines or done.stderr.strip().splitlines() or ["nothing"]
        raise Failed(f"{' '.join(command[:5])}: {' | '.join(line.strip() for line in said[-4:])}")
    return json.loads(lines[-1])


def flags(mix):
    transport, security, muxer = mix
    layers = ["--transport", OURS[transport]]
    return layers if transport == "quic" else layers + ["--security", security, "--muxer", muxer]


def expect(what, so):
    if not so:
        raise Failed(what)


def we_dial(program, peer, mix):
    with Server([*peer, "listen", *mix]) as server:
        address = server.line("address")["listening"]

        def tool(name, *args):
            return run([program, name, address, "--json", *flags(mix), *args])["result"]

        expect("ping counts", tool("ping", "--count", "3")["count"] == 3)
        protocols = tool("identify")["info"]["protocols"]
        expect(f"identify tells {protocols}", "/ipfs/ping/1.0.0" in protocols and "/echo/1.0.0" in protocols)
        # A small one is where an end could overtake the negotiation.
        for size in ["0", "10", ECHO_BYTES]:
            expect("echo counts", tool("echo", "--bytes", size)["bytes"] == int(size))
            expect("echo counts", tool("echo", "--bytes", size, "--no-half-close")["bytes"] == int(size))


def they_dial(program, peer, mix):
    with Server([program, "run", "--json", "--listen", PLACES[mix[0]], *flags(mix)]) as server:
        server.line("peer id")
        address = server.line("address")["address"]
        saw = run([*peer, "dial", *mix, address])
        expect(f"they saw {saw}", saw["agent"].startswith("stackwire/") and saw["pings"] == 3)
        expect(f"they saw {saw}", saw["right"] and saw["echoed"] == int(ECHO_BYTES))
        expect(f"they saw {saw}", "/ipfs/ping/1.0.0" in saw["protocols"])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = str(Path(sys.argv[1]).resolve())
    work = Path(program).parent / "strangers"
    failures = 0
    for name in sys.argv[2:] or list(MIXES):
        try:
            peer = {"js": js, "py": py}[name](work)
        except Unavailable as why:
            print(f"{name}-libp2p left out: {why}", flush=True)
            continue
        for mix in MIXES[name]:
            for who, meet in [("we dial", we_dial), ("they dial", they_dial)]:
                if why := LEFT_OUT.get((name, mix[0], who)):
                    print(f"{name} {'/'.join(mix)}, {who}: left out: {why}", flush=True)
                    continue
                start = time.monotonic()
                try:
                    meet(program, peer, mix)
                    how = "ok"
                except Failed as why:
                    failures += 1
                    how = f"FAILED: {why}"
                print(f"{name} {'/'.join(mix)}, {who}: {how} ({time.monotonic() - start:.1f} s)", flush=True)
    sys.exit(1 if failures else 0)


main()
