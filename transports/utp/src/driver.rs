//! The task of a socket: takes its datagrams in, sends what connections have to say, and keeps their alarms.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures::future::BoxFuture;
use stackwire_core::{Env, Error, Kind, Layer};

use crate::{
    NAME, UtpConfig,
    asked::{Askers, Key, Proof},
    connection::Now,
    link::Link,
    port::{Port, Ports},
    udp::{Udp, Way},
    wire::{Header, Packet, Type},
};

/// Datagrams taken before answers are sent. One acknowledgement answers all of them.
const BATCH: usize = 16;
/// Rounds before others get their turn.
const ROUNDS: usize = 32;
/// Failures to receive, in a row, after which a socket is of no more use.
const MAX_FAILURES: u32 = 100;

pub(crate) struct Driver {
    config: UtpConfig,
    env: Env,
    port: Arc<Port>,
    ports: Ports,
    /// Until the driver ends.
    socket: Option<Udp>,
    /// The socket is for one connection alone.
    only: bool,
    start: Instant,
    links: HashMap<Key, Arc<Link>>,
    askers: Askers,
    alarms: BinaryHeap<Reverse<(Instant, Key)>>,
    sleep: Option<(Instant, BoxFuture<'static, ()>)>,
    dialed: Vec<Arc<Link>>,
    /// To be looked at in this round.
    touched: Vec<Arc<Link>>,
    /// What could not be sent, because the operating system has no room.
    blocked: Vec<Arc<Link>>,
    buffer: Vec<u8>,
    failures: u32,
}

impl Driver {
    /// The driver of `socket`. It runs until nobody needs it any more.
    pub(crate) fn new(config: UtpConfig, env: Env, port: Arc<Port>, ports: Ports, socket: Udp) -> Self {
        Self {
            config,
            start: env.now(),
            env,
            port,
            ports,
            only: socket.is_connected(),
            socket: Some(socket),
            links: HashMap::new(),
            askers: Askers::new(config),
            alarms: BinaryHeap::new(),
            sleep: None,
            dialed: Vec::new(),
            touched: Vec::new(),
            blocked: Vec::new(),
            buffer: vec![0; 65_536],
            failures: 0,
        }
    }

    fn now(&self) -> Now {
        let at = self.env.now();
        // Wraps after an hour, as BEP 29 has it.
        Now { at, micros: at.saturating_duration_since(self.start).as_micros() as u32 }
    }

    /// Puts `link` on this round's list.
    fn touch(&mut self, link: Arc<Link>) {
        if !link.queue() {
            self.touched.push(link);
        }
    }

    /// Begins the dials that were asked for.
    fn begin_dials(&mut self) {
        for link in std::mem::take(&mut self.dialed) {
            // Even numbers for dials, so that no number is one connection's ours and another's theirs.
            let mut id = link.connection.lock().ids().0 & !1;
            let taken = |id: u16| self.links.contains_key(&(link.way, id));
            let free = (0..u16::MAX / 2).find(|_| {
                id = id.wrapping_add(2);
                !taken(id) && !taken(id.wrapping_add(1))
            });
            if free.is_none() {
                let error =
                    Error::new(Kind::LimitExceeded { limit: "connections to one address", max: 32_767 }, "dialing");
                link.connection.lock().fail(error);
                continue;
            }
            link.connection.lock().renumber(id);
            self.links.insert((link.way, id), link.clone());
            self.touch(link);
        }
    }

    // --- Receiving --------------------------------------------------------------------------------------------------

    /// Takes up to a batch of datagrams in, and says whether there may be more.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut result = Ok(true);
        for _ in 0..BATCH {
            let Some(socket) = &self.socket else { break };
            match socket.poll_receive(cx, &mut buffer) {
                Poll::Pending => {
                    result = Ok(false);
                    break;
                }
                Poll::Ready(Ok(received)) => {
                    self.failures = 0;
                    for datagram in received.datagrams(&buffer) {
                        self.received(cx, received.way, datagram);
                    }
                }
                Poll::Ready(Err(e)) => {
                    self.failures += 1;
                    if self.failures > MAX_FAILURES {
                        result = Err(e);
                        break;
                    }
                    self.could_not(&e);
                }
            }
        }
        self.buffer = buffer;
        result
    }

    /// The operating system has heard that nobody is there. Only a socket of one connection can know which one that is
    /// about.
    fn could_not(&mut self, error: &io::Error) {
        if !self.only {
            return;
        }
        for link in self.links.values().cloned().collect::<Vec<_>>() {
            link.connection.lock().could_not(error.kind().into());
            self.touch(link);
        }
    }

    fn received(&mut self, cx: &mut Context<'_>, way: Way, datagram: &[u8]) {
        // A UDP port gets all kinds of things; what is no packet of ours is nobody's fault.
        let Ok(packet) = Packet::read(datagram) else { return };
        let (header, now) = (&packet.header, self.now());
        match (header.kind, self.links.get(&(way, header.connection))) {
            (Type::Reset, _) => self.reset(way, &packet, now),
            (Type::Syn, _) => match self.links.get(&(way, header.connection.wrapping_add(1))).cloned() {
                Some(link) => {
                    link.connection.lock().receive(&packet, now);
                    self.touch(link);
                }
                None => self.asked(cx, way, header, now),
            },
            (_, Some(link)) => {
                let link = link.clone();
                link.connection.lock().receive(&packet, now);
                self.touch(link);
            }
            (_, None) => self.answered(cx, way, &packet, now),
        }
    }

    /// Somebody asks for a connection.
    fn asked(&mut self, cx: &mut Context<'_>, way: Way, syn: &Header, now: Now) {
        if !self.port.listens() {
            return self.refuse(cx, way, syn);
        }
        // Whoever is not answered asks again.
        if !self.port.has_room(self.config.backlog.into()) {
            return;
        }
        let answer = self.askers.ask(way, syn, u16::from_be_bytes(self.env.random()), now);
        let _sent_or_not = self.send(cx, way, &answer.packet(&[]));
    }

    /// Whether there is room for one more connection. One that nobody has any more, and that only waits for its peer,
    /// makes room: a peer that acknowledges nothing holds each for a while.
    fn has_room(&mut self) -> bool {
        if !self.port.has_room(self.config.backlog.into()) {
            return false;
        }
        if self.links.len() >= self.config.max_connections as usize {
            let released = |(key, link): (&Key, &Arc<Link>)| Some((link.connection.lock().released_at()?, *key));
            let Some((_, key)) = self.links.iter().filter_map(released).min() else { return false };
            self.links.remove(&key);
        }
        true
    }

    /// A packet of a connection that is none yet.
    fn answered(&mut self, cx: &mut Context<'_>, way: Way, packet: &Packet<'_>, now: Now) {
        if !self.port.listens() {
            self.askers.clear();
        }
        let key = (way, packet.header.connection);
        let proof = self.askers.prove(key, packet, now);
        match proof {
            Proof::Unknown => self.refuse(cx, way, &packet.header),
            Proof::Nothing => {}
            // The packet comes again.
            Proof::Received if !self.has_room() => {}
            Proof::Received => {
                let Some(connection) = self.askers.connect(key, packet, now) else { return };
                let link = Link::new(self.port.clone(), way, connection);
                self.links.insert(key, link.clone());
                self.port.arrived(link.clone());
                self.touch(link);
            }
        }
    }

    /// A reset names the connection by our number or by the peer's.
    fn reset(&mut self, way: Way, packet: &Packet<'_>, now: Now) {
        let named = packet.header.connection;
        for id in [named, named.wrapping_sub(1), named.wrapping_add(1)] {
            if let Some(link) = self.links.get(&(way, id)).cloned() {
                let mut connection = link.connection.lock();
                let (ours, theirs) = connection.ids();
                if named == ours || named == theirs {
                    connection.receive(packet, now);
                }
                drop(connection);
                self.touch(link);
            } else {
                self.askers.reset((way, id), &packet.header);
            }
        }
    }

    /// Tells the sender of a packet that there is no such connection. No answer is longer than its question.
    fn refuse(&mut self, cx: &mut Context<'_>, way: Way, to: &Header) {
        let answer = Header {
            kind: Type::Reset,
            connection: to.connection,
            timestamp: self.now().micros,
            delay: 0,
            window: 0,
            seq: to.ack.wrapping_add(1),
            ack: to.seq,
        };
        // Best effort: the next packet gets an answer of its own.
        let _sent_or_not = self.send(cx, way, &answer.packet(&[]));
    }

    // --- Sending ----------------------------------------------------------------------------------------------------

    fn send(&self, cx: &mut Context<'_>, way: Way, packet: &[u8]) -> Poll<io::Result<()>> {
        let Some(socket) = &self.socket else { return Poll::Ready(Ok(())) };
        socket.poll_send(cx, way, packet)
    }

    /// Looks at everything on the list: sends, sets alarms, and lets go of what is over.
    fn look(&mut self, cx: &mut Context<'_>) {
        let mut touched = std::mem::take(&mut self.touched);
        for link in touched.drain(..) {
            link.looked_at();
            let now = self.now();
            let mut connection = link.connection.lock();
            let key = (link.way, connection.ids().0);
            // A connection that was let go of has nothing more to say, and its number may be another's.
            if !self.links.get(&key).is_some_and(|known| Arc::ptr_eq(known, &link)) {
                continue;
            }
            if !connection.transmit(now, |packet| self.send(cx, link.way, packet)) {
                drop(connection);
                self.blocked.push(link);
                continue;
            }
            if connection.is_over(now.at) {
                self.links.remove(&key);
                continue;
            }
            if let Some(deadline) = connection.deadline()
                && connection.alarm.is_none_or(|alarm| deadline < alarm)
            {
                connection.alarm = Some(deadline);
                self.alarms.push(Reverse((deadline, key)));
            }
        }
        self.touched = touched;
    }

    // --- Time -------------------------------------------------------------------------------------------------------

    /// Tells the connections whose time has come.
    fn ring(&mut self) {
        let now = self.env.now();
        while let Some(Reverse((at, key))) = self.alarms.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.alarms.pop();
            let Some(link) = self.links.get(&key).cloned() else { continue };
            let mut connection = link.connection.lock();
            if connection.alarm == Some(at) {
                connection.alarm = None;
                connection.time_passed(now);
                drop(connection);
                self.touch(link);
            }
        }
    }

    /// Has the task woken at the next alarm. True where that has passed already.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Reverse((next, _))) = self.alarms.peek().copied() else { return false };
        // A sleep that ends too early does no harm, and most alarms are put off again and again.
        if self.sleep.as_ref().is_none_or(|(until, _)| *until > next) {
            self.sleep = Some((next, self.env.sleep(next.saturating_duration_since(self.env.now()))));
        }
        let passed = self.sleep.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
        if passed {
            self.sleep = None;
        }
        passed
    }

    /// Ends if nobody needs the socket any more.
    fn retire(&mut self) -> bool {
        if !self.port.is_idle() {
            return false;
        }
        // Connections that are done but for last answers keep no address from being listened on anew.
        let last_answers = !self.only && self.links.values().all(|link| link.connection.lock().is_done());
        if !(self.links.is_empty() || last_answers) {
            return false;
        }
        let port = self.port.clone();
        self.ports.clone().remove(&port, &mut self.socket, || !port.is_idle())
    }

    fn end(&mut self, error: &Error) {
        self.ports.clone().remove(&self.port, &mut self.socket, || false);
        let waiting = self.port.end(error.clone());
        for link in waiting.into_iter().chain(self.links.drain().map(|(_, link)| link)) {
            link.connection.lock().fail(error.clone());
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..ROUNDS {
            // What was blocked may go on when there is room; asking is what has us woken then.
            for link in std::mem::take(&mut this.blocked) {
                this.touch(link);
            }
            this.port.clone().take(cx, &mut this.dialed, &mut this.touched);
            this.begin_dials();
            let more = match this.receive(cx) {
                Ok(more) => more,
                Err(e) => {
                    this.end(&Error::io("receiving", e).at(Layer::Transport, NAME));
                    return Poll::Ready(());
                }
            };
            this.ring();
            this.look(cx);
            if more {
                continue;
            }
            if this.poll_sleep(cx) {
                continue;
            }
            if this.retire() {
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Driver {
    /// The runtime is going down, or the driver has ended and there is nothing left.
    fn drop(&mut self) {
        self.end(&Error::closed("the node has stopped").at(Layer::Transport, NAME));
    }
}
