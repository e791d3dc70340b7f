//! What is told of a simulated network.

use serde::Serialize;

use crate::output::count;

/// Everything that was seen. The same options give the same report.
#[derive(Debug, PartialEq, Serialize)]
pub struct Report {
    /// What decided on everything that is left to chance.
    pub seed: u64,
    /// Nodes at first.
    pub nodes: u32,
    /// Simulated minutes.
    pub minutes: u32,
    /// Connections that each node must have, beside those that it makes.
    pub must_have: usize,
    /// Connections that each node makes.
    pub outbound: usize,
    /// What happened.
    pub events: Vec<Happening>,
    /// A row a minute.
    pub rows: Vec<Row>,
    /// Connections at many moments.
    pub samples: Vec<Sample>,
    /// Who had connections with whom, at a few moments.
    pub moments: Vec<Moment>,
}

/// How a minute was.
#[derive(Debug, PartialEq, Serialize)]
pub struct Row {
    /// Which; the first is 1.
    pub minute: u32,
    /// As it was at the end of the minute.
    #[serde(flatten)]
    pub end: Counts,
    /// Dials in this minute.
    pub dials: usize,
    /// Connections that were refused on arrival in this minute.
    pub refused: usize,
    /// Bans that began in this minute.
    pub banned: usize,
    /// Connections that were closed because there were too many, and peers that were given up, in this minute.
    pub trimmed: usize,
    /// The node with the fewest connections at the end of the minute; `None` where all nodes are must-haves.
    pub worst: Option<Worst>,
}

/// The node with the fewest connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Worst {
    /// Its number.
    pub node: u32,
    /// Its connections with those who answer.
    pub connections: usize,
    /// How many it wants: its must-haves and those that it makes, at most all others.
    pub wanted: usize,
}

/// What there was at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Nodes that are up.
    pub nodes: usize,
    /// Pairs of nodes with a connection whose ends reach each other.
    pub connections: usize,
    /// Connections that nodes keep with one who does not answer any more, which they have not noticed.
    pub silent: usize,
}

/// What there was, and when.
#[derive(Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the beginning.
    pub at_secs: u32,
    /// What there was.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Who had connections with whom.
#[derive(Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Seconds since the beginning.
    pub at_secs: u32,
    /// Those that were up.
    pub up: Vec<u32>,
    /// Those of them that were parted from the rest.
    pub apart: Vec<u32>,
    /// Pairs with a connection.
    pub pairs: Vec<(u32, u32)>,
    /// Who kept a connection with one who did not answer any more, and with whom.
    pub silent: Vec<(u32, u32)>,
}

/// Something that happened to the network.
#[derive(Debug, PartialEq, Serialize)]
pub struct Happening {
    /// Seconds since the beginning.
    pub at_secs: u32,
    /// What.
    pub kind: Kind,
    /// To whom.
    pub nodes: Vec<u32>,
    /// Who did it, of bans.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<u32>,
    /// Seconds until every node had all that it wants and can reach; `None`: not before the next event or the end.
    pub settled_secs: Option<u32>,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first nodes start.
    Start,
    /// Nodes come.
    Join,
    /// Nodes say good-bye and go.
    Leave,
    /// Nodes go from one moment to the next.
    Crash,
    /// Some nodes and all others reach each other no more.
    Part,
    /// They do again.
    Heal,
    /// One node is banned by some others.
    Ban,
}

impl Kind {
    /// All of them, as legends list them.
    pub const ALL: [Self; 7] = [Self::Start, Self::Join, Self::Leave, Self::Crash, Self::Part, Self::Heal, Self::Ban];

    /// Its letter in charts.
    pub fn letter(self) -> char {
        match self {
            Self::Start => 'S',
            Self::Join => 'J',
            Self::Leave => 'L',
            Self::Crash => 'C',
            Self::Part => 'P',
            Self::Heal => 'H',
            Self::Ban => 'B',
        }
    }

    /// What legends call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Crash => "crash",
            Self::Part => "parted",
            Self::Heal => "healed",
            Self::Ban => "ban",
        }
    }
}

impl Happening {
    /// What happened, in words.
    pub fn text(&self) -> String {
        let some = |one: &str, many: &str| {
            format!(
                "{} {}",
                count(self.nodes.len() as u64, "node", "nodes"),
                if self.nodes.len() == 1 { one } else { many }
            )
        };
        match self.kind {
            Kind::Start => some("starts", "start"),
            Kind::Join => some("joins", "join"),
            Kind::Leave => some("leaves", "leave"),
            Kind::Crash => some("crashes", "crash"),
            Kind::Part => some("is parted from the rest", "are parted from the rest"),
            Kind::Heal => "the network is whole again".to_string(),
            Kind::Ban => {
                let whom: Vec<String> = self.nodes.iter().map(|node| format!("node {node}")).collect();
                format!("{} is banned by {}", whom.join(", "), count(self.by.len() as u64, "other", "others"))
            }
        }
    }

    /// How soon all was well again, in words.
    pub fn settled(&self) -> String {
        self.settled_secs.map_or_else(|| "not before the next".to_string(), |secs| format!("{secs} s"))
    }
}

impl Report {
    /// What happened in this minute.
    pub fn events_in(&self, minute: u32) -> impl Iterator<Item = &Happening> {
        self.events.iter().filter(move |event| event.at_secs / 60 + 1 == minute)
    }

    /// After how many of the events all nodes had all they want again, and the longest time until then.
    pub fn settled(&self) -> (usize, u32) {
        let times = self.events.iter().filter_map(|event| event.settled_secs);
        (times.clone().count(), times.max().unwrap_or_default())
    }
}

/// A moment as clocks show it: `7:05`.
pub fn clock(secs: u32) -> String {
    format!("{}:{:02}", secs / 60, secs % 60)
}
