//! The cells of every group, from whatever is linked.

mod disagreements;

use stackwire_config::Reach;
use stackwire_node::{
    Layer,
    address::{self, Fixed, FixedPath},
};

use super::{
    Group,
    job::{Because, How, Job, Pair, Wanted, Work},
    parts::{Candidate, Mix},
    recipe::Recipe,
};

/// What a cell calls a layer that the transport brings along.
const BUILT_IN: &str = "built in";

/// The cells of `wanted` groups; of all where none is named.
pub(super) fn jobs<'a>(parts: &'a Mix, wanted: &[Group]) -> Vec<Job<'a>> {
    let groups = Group::ALL.into_iter().filter(|group| wanted.is_empty() || wanted.contains(group));
    let jobs = groups.map(|group| match group {
        Group::Mixes => mixes(parts),
        Group::FixedPaths => fixed_paths(parts),
        Group::Negotiators => negotiators(parts),
        Group::PrivateNetworks => private_networks(parts),
        Group::SharedPort => shared_port(parts),
        Group::Disagreements => disagreements::jobs(parts),
    });
    jobs.flatten().collect()
}

fn mixes(parts: &Mix) -> Vec<Job<'_>> {
    let mut jobs = Vec::new();
    for transport in &parts.transports {
        // What the transport brings along comes first.
        let base = || Recipe::new(transport);
        match transport.reaches() {
            Reach::Raw => {}
            Reach::Secured => jobs.extend(parts.muxers.iter().map(|muxer| {
                let recipe = base().with(Layer::Muxer, [muxer]);
                let wanted = vec![brought(transport, Layer::Security), Wanted::new(muxer, How::Any)];
                built_in(transport, muxer.label(), recipe, wanted)
            })),
            Reach::Multiplexed => {
                let wanted = vec![brought(transport, Layer::Security), brought(transport, Layer::Muxer)];
                jobs.push(built_in(transport, BUILT_IN, base(), wanted));
            }
        }
        for security in &parts.securities {
            jobs.extend(parts.muxers.iter().map(|muxer| mix(parts, transport, security, muxer)));
        }
    }
    jobs
}

fn mix<'a>(parts: &Mix, transport: &'a Candidate, security: &'a Candidate, muxer: &'a Candidate) -> Job<'a> {
    let brings = match transport.reaches() {
        Reach::Raw => {
            let recipe = Recipe::new(transport).with(Layer::Security, [security]).with(Layer::Muxer, [muxer]);
            let (fixed, how) = match security.negotiable() {
                true => (FixedPath::default(), How::Any),
                false => (FixedPath::new([parts.step(security)]), How::Address),
            };
            let pair = Pair::new(recipe.clone().listening(&fixed), recipe);
            let wanted =
                vec![Wanted::new(transport, How::Any), Wanted::new(security, how), Wanted::new(muxer, How::Any)];
            return job(Group::Mixes, transport, security, muxer, Work::Meet(pair, wanted));
        }
        Reach::Secured => "its own security",
        Reach::Multiplexed => "its own security and streams",
    };
    let reason = format!("{} brings {brings}", transport.label());
    job(Group::Mixes, transport, security, muxer, Work::Skip(reason))
}

fn built_in<'a>(transport: &'a Candidate, muxer: &str, recipe: Recipe<'a>, wanted: Vec<Wanted>) -> Job<'a> {
    let pair = Pair::new(recipe.clone().listening(&FixedPath::default()), recipe);
    Job {
        group: Group::Mixes,
        transport: transport.label().to_string(),
        security: BUILT_IN.to_string(),
        muxer: muxer.to_string(),
        variant: None,
        expected: None,
        work: Work::Meet(pair, wanted),
    }
}

fn brought(transport: &Candidate, layer: Layer) -> Wanted {
    Wanted { layer, plugin: transport.name(), how: How::Transport }
}

fn fixed_paths(parts: &Mix) -> Vec<Job<'_>> {
    let Some(transport) = parts.cheap_transport() else { return Vec::new() };
    let mut jobs = Vec::new();
    for security in &parts.securities {
        for muxer in &parts.muxers {
            let fixed = FixedPath::new([parts.step(security), Fixed::Muxer(muxer.name().to_string())]);
            let recipe = Recipe::new(transport).with(Layer::Security, [security]).with(Layer::Muxer, [muxer]);
            let pair = Pair::new(recipe.clone().listening(&fixed), recipe);
            let wanted = vec![Wanted::new(security, How::Address), Wanted::new(muxer, How::Address)];
            jobs.push(Job {
                variant: Some(fixed.to_string()),
                expected: Some("the address names both; nothing is negotiated".to_string()),
                ..job(Group::FixedPaths, transport, security, muxer, Work::Meet(pair, wanted))
            });
        }
    }
    jobs
}

fn negotiators(parts: &Mix) -> Vec<Job<'_>> {
    let (Some(transport), Some(muxer)) = (parts.cheap_transport(), parts.usual_muxer()) else { return Vec::new() };
    // Those that recognize their own bytes come first; one that takes whatever comes is asked last.
    let (choosing, silent): (Vec<_>, Vec<_>) = parts.negotiators.iter().partition(|n| n.chooses());
    let ordered: Vec<&Candidate> = choosing.iter().chain(&silent).copied().collect();
    let mut jobs = Vec::new();
    for negotiator in &ordered {
        // Streams need one that chooses.
        let beside = if negotiator.chooses() { None } else { choosing.first().copied() };
        if !negotiator.chooses() && beside.is_none() {
            continue;
        }
        let dialing = || std::iter::once(*negotiator).chain(beside);
        let alone: Vec<&Candidate> =
            ordered.iter().copied().filter(|n| dialing().any(|d| d.name() == n.name())).collect();
        let mut listeners = vec![(alone, format!("both sides speak {}", negotiator.label()))];
        if ordered.len() > 1 {
            listeners.push((ordered.clone(), format!("the listener speaks all, the dialer {}", negotiator.label())));
        }
        for (listening, variant) in &listeners {
            for security in parts.negotiable() {
                let base = Recipe::new(transport).with(Layer::Security, [security]).with(Layer::Muxer, [muxer]);
                let listener = base.clone().with(Layer::Negotiator, listening.iter().copied());
                let dialer = base.with(Layer::Negotiator, dialing());
                let how = How::By(negotiator.name());
                let wanted = vec![Wanted::new(security, how), Wanted::new(muxer, how)];
                let pair = Pair::new(listener.listening(&FixedPath::default()), dialer).unmeasured();
                jobs.push(Job {
                    variant: Some(variant.clone()),
                    expected: Some(format!("{} chooses, except what the handshake chooses", negotiator.label())),
                    ..job(Group::Negotiators, transport, security, muxer, Work::Meet(pair, wanted))
                });
            }
        }
    }
    jobs
}

fn private_networks(parts: &Mix) -> Vec<Job<'_>> {
    let (Some(security), Some(muxer)) = (parts.usual_security(), parts.usual_muxer()) else { return Vec::new() };
    let mut jobs = Vec::new();
    for (i, ours) in parts.protectors.iter().enumerate() {
        // The first fixture of a protector is the network; another one is another network.
        if parts.protectors[..i].iter().any(|earlier| earlier.name() == ours.name()) {
            continue;
        }
        let other = parts.protectors[i + 1..].iter().find(|other| other.name() == ours.name());
        for transport in parts.transports.iter().filter(|transport| transport.reaches() == Reach::Raw) {
            let outside = Recipe::new(transport).with(Layer::Security, [security]).with(Layer::Muxer, [muxer]);
            let inside = |network| outside.clone().with(Layer::Protector, [network]);
            let mut cell = |variant: String, expected: &str, work| {
                jobs.push(Job {
                    variant: Some(variant),
                    expected: Some(expected.to_string()),
                    ..job(Group::PrivateNetworks, transport, security, muxer, work)
                });
            };
            let wanted = [(ours, How::Config), (security, How::Any), (muxer, How::Any)];
            let wanted = wanted.map(|(candidate, how)| Wanted::new(candidate, how)).to_vec();
            let listener = inside(ours).listening(&FixedPath::default());
            let meet = Work::Meet(Pair::new(listener.clone(), inside(ours)), wanted);
            cell(format!("both within {}", ours.label()), "everything works, hidden by the network's key", meet);
            let strangers = other.map(|other| (inside(other), "another key")).into_iter();
            for (stranger, whose) in strangers.chain([(outside.clone(), "no key")]) {
                let pair = Pair::new(listener.clone().impatient(), stranger.impatient());
                let refuse = Work::Refuse(pair, Because::Gibberish);
                cell(format!("a dialer with {whose}"), "both sides fail and nothing hangs", refuse);
            }
        }
    }
    jobs
}

fn shared_port<'a>(parts: &'a Mix) -> Vec<Job<'a>> {
    let (Some(security), Some(muxer)) = (parts.usual_security(), parts.usual_muxer()) else { return Vec::new() };
    let mut jobs = Vec::new();
    for host in &parts.transports {
        let address = address::parse(host.fixture.listen).ok();
        let guests = parts.transports.iter().filter(|guest| address.is_some() && guest.carrier() == address);
        let all: Vec<&Candidate> = std::iter::once(host).chain(guests).collect();
        if all.len() == 1 {
            continue;
        }
        let labels = all.iter().map(|transport| transport.label()).collect::<Vec<_>>().join(", ");
        let with_top = |recipe: Recipe<'a>| recipe.with(Layer::Security, [security]).with(Layer::Muxer, [muxer]);
        for (dial, transport) in all.iter().enumerate() {
            let listener = with_top(Recipe::of(all.iter().copied())).listening(&FixedPath::default()).on_one_port();
            let pair = Pair { dial, ..Pair::new(listener, with_top(Recipe::new(transport))) };
            let wanted = [transport, security, muxer].map(|candidate| Wanted::new(candidate, How::Any)).to_vec();
            jobs.push(Job {
                variant: Some(format!("{labels} listen on one port, {} dials", transport.label())),
                expected: Some(format!("the connection is {}'s", transport.label())),
                ..job(Group::SharedPort, transport, security, muxer, Work::Meet(pair, wanted))
            });
        }
    }
    jobs
}

fn job<'a>(group: Group, transport: &Candidate, security: &Candidate, muxer: &Candidate, work: Work<'a>) -> Job<'a> {
    Job {
        group,
        transport: transport.label().to_string(),
        security: security.label().to_string(),
        muxer: muxer.label().to_string(),
        variant: None,
        expected: None,
        work,
    }
}
