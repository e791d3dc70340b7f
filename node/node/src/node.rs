//! A node: its networks, what their configuration is, and their end.

use std::{ops::Deref, path::PathBuf, sync::Arc};

use futures::{future::join_all, stream::BoxStream};
use stackwire_config::{Catalogue, Plan, Stack};
use stackwire_core::{Error, Event, EventStream, Kind, Layer, Result};
use stackwire_switch::{Changes, node_allowance};
use tokio::sync::watch;

use crate::{
    Builder,
    all_events::{self, Named},
    builder::{Common, Made},
    network::Network,
};

/// A running node. Cheap to clone; dropping the last clone stops it at once, without telling its peers more than
/// closed connections do.
///
/// It is used as its [`Network`]. A node of several is used as the first of them; [`Node::network`] gives the others.
#[derive(Clone)]
pub struct Node(Arc<Running>);

struct Running {
    common: Common,
    first: Arc<Network>,
    others: watch::Sender<Vec<Arc<Network>>>,
    /// One change of the configuration at a time.
    reloading: tokio::sync::Mutex<()>,
}

impl Deref for Node {
    type Target = Network;

    fn deref(&self) -> &Network {
        &self.0.first
    }
}

impl Running {
    /// Lets the node hold what the configurations of its networks say now.
    fn allow(&self) {
        let stacks: Vec<Stack> =
            std::iter::once(&self.first).chain(self.others.borrow().iter()).map(|it| it.switch.stack()).collect();
        self.common.budget.allow(node_allowance(stacks.iter().map(|stack| &stack.settings.limits)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever holds a network alone holds one that has stopped.
        self.first.switch.stop();
        self.others.borrow().iter().for_each(|network| network.switch.stop());
    }
}

impl Node {
    /// Makes a node in code.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes a node of a text config and starts it, with the plug-ins of `catalogue`. Fails with `ConfigInvalid`,
    /// every mistake with its line, before anything is opened.
    pub async fn from_config(text: &str, catalogue: &Catalogue) -> Result<Self> {
        Builder::from_config(text, catalogue)?.start().await
    }

    /// Starts a stack that was made of a config, or by hand.
    pub async fn start(stack: Stack) -> Result<Self> {
        Builder::from(stack).start().await
    }

    /// As [`Node::start`], with the events from the very first on, such as the addresses that are listened on.
    pub async fn watched(stack: Stack) -> Result<(Self, EventStream)> {
        Builder::from(stack).start_watched().await
    }

    /// Runs what was made.
    pub(crate) async fn run(made: Made) -> Result<Self> {
        let Made { common, first, others, listen } = made;
        let others: Vec<Arc<Network>> = others.into_iter().map(Arc::new).collect();
        let (first, list) = (Arc::new(first), watch::Sender::new(others.clone()));
        let node = Self(Arc::new(Running { common, first, others: list, reloading: tokio::sync::Mutex::default() }));
        node.0.first.begin(listen).await?;
        for network in others {
            network.begin(Vec::new()).await?;
        }
        Ok(node)
    }

    /// Its networks, the first one first.
    pub fn networks(&self) -> Vec<Arc<Network>> {
        std::iter::once(&self.0.first).chain(self.0.others.borrow().iter()).cloned().collect()
    }

    /// The network of this name.
    pub fn network(&self, name: &str) -> Option<Arc<Network>> {
        self.networks().into_iter().find(|network| network.name() == name)
    }

    /// Everything that happens from now on in all networks, each event with its network's name. Events of one network come in
    /// order.
    pub fn all_events(&self) -> BoxStream<'static, (String, Event)> {
        let streams =
            self.networks().iter().map(|network| all_events::named(network.name(), network.events())).collect();
        self.all_events_of(streams)
    }

    pub(crate) fn all_events_of(&self, streams: Vec<BoxStream<'static, Named>>) -> BoxStream<'static, Named> {
        all_events::all(streams, self.0.others.subscribe())
    }

    /// Takes a new text config while running: it is read, validated and built, its new addresses are bound, and then it
    /// is swapped in as a whole. On error everything stays as it was, and the error says which line is wrong.
    ///
    /// Parts that code added stay, and addresses that code listens on: see [`Builder`].
    ///
    /// New connections use it at once. Plug-ins about which nothing has changed, neither their options nor the files that
    /// those name, stay the ones they are. A connection that would come about otherwise now is upgraded: a better one is
    /// made beside it where both sides can, new streams go there, and the old one is closed when its streams have ended.
    /// Changed options of a plug-in apply to new connections only. The identity can't change.
    ///
    /// Networks that the text no longer has are shut down, and those that it has new are started. The first stays the first.
    ///
    /// Cancel-safe in that no network stops half-way between two configs, but addresses that were to change hands
    /// may be left closed.
    pub async fn reload(&self, text: &str, catalogue: &Catalogue) -> Result<Changes> {
        let folder = self.switch.stack().plan.as_ref().map_or_else(PathBuf::new, |plan| plan.folder().into());
        self.reload_as(Plan::parse_in(&folder, text, catalogue)?).await
    }

    /// As [`Node::reload`], with a text that was read already.
    pub async fn reload_as(&self, plan: Plan) -> Result<Changes> {
        let _one_at_a_time = self.0.reloading.lock().await;
        if plan.networks().all(|plan| plan.name() != self.name()) {
            let why = format!(
                "network `{}` can't leave while the node runs: the node is used as this one. Restart it",
                self.name()
            );
            return Err(Error::new(Kind::ConfigInvalid, why).at(Layer::Node, "networks"));
        }
        if plan.settings.data_dir != self.switch.stack().settings.data_dir {
            tracing::warn!("`data_dir` has changed: that counts from the next start on");
        }
        let running = self.networks();
        let mut done = Done::default();
        for plan in plan.networks() {
            let changed = match running.iter().find(|network| network.name() == plan.name()) {
                Some(network) => done.change(network, plan).await,
                None => done.add(plan, &self.0.common).await,
            };
            if let Err(error) = changed {
                done.undo().await;
                return Err(error);
            }
        }
        let (gone, mut stay): (Vec<_>, Vec<_>) =
            running.into_iter().skip(1).partition(|network| plan.networks().all(|plan| plan.name() != network.name()));
        stay.append(&mut done.added);
        self.0.others.send_replace(stay);
        self.0.allow();
        for network in gone {
            done.changes.closed.extend(network.addresses());
            // Its streams get their time to finish; the node has no use for it any more.
            self.env().spawn_detached("network that leaves", async move { network.switch.shutdown().await });
        }
        Ok(done.changes)
    }

    /// As [`Node::reload`], with a stack that was made by hand, for the first network: plug-ins stay the ones they are where
    /// the stack holds the same ones.
    pub async fn reload_stack(&self, stack: Stack) -> Result<Changes> {
        let changes = self.0.first.reload(|_| Ok(stack)).await?;
        self.0.allow();
        Ok(changes)
    }

    /// Stops gracefully. No new connections and no new listeners; plug-ins wind up
    /// ([`HostApi::stopping`](stackwire_core::HostApi::stopping)) and open streams finish, within `shutdown_secs`. Then what
    /// acts on its own is dropped, and every peer is told good-bye. Returns when all connections have ended, or after
    /// `shutdown_secs` twice at the latest. The events end with it. What is to survive is written down then, and its file is
    /// closed: another node may have it.
    pub async fn shutdown(&self) {
        join_all(self.networks().iter().map(|network| network.switch.shutdown())).await;
        self.0.common.storage.close().await;
    }
}

/// What a reload of several networks has done so far.
#[derive(Default)]
struct Done {
    changes: Changes,
    /// What each network had before.
    before: Vec<(Arc<Network>, Stack)>,
    added: Vec<Arc<Network>>,
}

impl Done {
    async fn change(&mut self, network: &Arc<Network>, plan: &Plan) -> Result<()> {
        let before = network.switch.stack();
        let after = |before: &Stack| {
            plan.inspect_after(before)?;
            Ok(plan.clone().stack_after(before))
        };
        let Changes { listening, closed, upgrading } = network.reload(after).await?;
        self.before.push((network.clone(), before));
        self.changes.listening.extend(listening);
        self.changes.closed.extend(closed);
        self.changes.upgrading += upgrading;
        Ok(())
    }

    async fn add(&mut self, plan: &Plan, common: &Common) -> Result<()> {
        plan.inspect()?;
        let stack = plan.clone().stack();
        self.changes.listening.extend(stack.settings.listen.iter().cloned());
        let network = common.network(plan.name(), stack, None, None)?;
        network.begin(Vec::new()).await?;
        self.added.push(Arc::new(network));
        Ok(())
    }

    /// Puts everything back. What can't be bound again is told as an event.
    async fn undo(self) {
        for (network, before) in self.before.into_iter().rev() {
            if let Err(error) = network.reload(|_| Ok(before)).await {
                tracing::warn!(%error, network = network.name(), "the configuration that was in force can't be put back");
            }
        }
    }
}
