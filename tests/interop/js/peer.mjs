// A node of js-libp2p, for `../strangers.py`.
//
//   node peer.mjs listen TRANSPORT SECURITY MUXER        prints its address, serves until its input ends
//   node peer.mjs dial TRANSPORT SECURITY MUXER ADDRESS  connects, pings, asks who it is, asks for an echo; prints what it saw
//
// Every line of output is a JSON object.

import { createLibp2p } from 'libp2p'
import { identify } from '@libp2p/identify'
import { mplex } from '@libp2p/mplex'
import { noise } from '@chainsafe/libp2p-noise'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'

// Node 20 lacks what these packages take for granted; nothing else keeps them from running on it.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((yes, no) => { [resolve, reject] = [yes, no] })
  return { promise, resolve, reject }
}

const ECHO = '/echo/1.0.0'
const ECHO_BYTES = 100_000
const PATIENCE = 50_000

const [role, transport, security, muxer, address] = process.argv.slice(2)
const places = { tcp: '/ip4/127.0.0.1/tcp/0', ws: '/ip4/127.0.0.1/tcp/0/ws' }

const say = (what) => console.log(JSON.stringify(what))

const node = await createLibp2p({
  addresses: { listen: role === 'listen' ? [places[transport]] : [] },
  transports: [{ tcp, ws: webSockets }[transport]()],
  connectionEncrypters: [{ noise, tls }[security]()],
  streamMuxers: [{ yamux, mplex }[muxer]()],
  connectionGater: { denyDialMultiaddr: () => false },
  // By default it resets a host's sixth connection of a second, and the tools are quicker than that.
  connectionManager: { inboundConnectionThreshold: 1000 },
  services: { identify: identify(), ping: ping() }
})

// Sends back what comes, and ends when the other side has.
await node.handle(ECHO, async (stream) => {
  for await (const bytes of stream) {
    if (!stream.send(bytes)) {
      await stream.onDrain()
    }
  }
  await stream.close()
})

if (role === 'listen') {
  say({ listening: node.getMultiaddrs()[0].toString() })
  process.stdin.resume()
  await new Promise((resolve) => process.stdin.on('end', resolve))
} else {
  const told = new Promise((resolve) => {
    node.addEventListener('peer:identify', (event) => resolve(event.detail))
  })
  const signal = AbortSignal.timeout(PATIENCE)
  const connection = await node.dial(multiaddr(address), { signal })
  const pings = []
  for (let n = 0; n < 3; n++) {
    pings.push(await node.services.ping.ping(connection.remotePeer, { signal }))
  }
  const { agentVersion, protocols } = await told
  const stream = await connection.newStream(ECHO, { signal })
  const content = new Uint8Array(ECHO_BYTES).map((_, i) => i % 251)
  const sending = (async () => {
    for (let at = 0; at < content.length; at += 10_000) {
      if (!stream.send(content.subarray(at, at + 10_000))) {
        await stream.onDrain({ signal })
      }
    }
    await stream.close({ signal })
  })()
  let came = 0
  let right = true
  for await (const bytes of stream) {
    for (const byte of bytes.subarray()) {
      right &&= byte === content[came]
      came++
    }
  }
  await sending
  say({ agent: agentVersion, protocols, pings: pings.length, echoed: came, right })
}
await node.stop()
process.exit(0)
