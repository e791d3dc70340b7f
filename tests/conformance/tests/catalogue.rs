//! Every plug-in that is linked keeps the laws of its layer, whether or not its own tests say so.

use stackwire_bundle as _;
use stackwire_conformance::{discovery, muxer, nat, negotiator, protector, router, security, transport};
use stackwire_core::Layer;
use stackwire_plugin::{Catalogue, Descriptor};

fn linked(layer: Layer) -> Vec<&'static Descriptor> {
    let found: Vec<_> = Catalogue::linked().expect("no two plug-ins clash").layer(layer).collect();
    // There is one way of private networks so far.
    assert!(
        found.len() >= 2 || layer == Layer::Protector,
        "a contract is proven by at least two implementations, {layer} has {}",
        found.len()
    );
    found
}

#[test]
fn transports() {
    for plugin in linked(Layer::Transport) {
        for fixture in plugin.fixtures() {
            for (law, run) in transport::LAWS {
                println!("{} {law}", fixture.label);
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                runtime.expect("a runtime starts").block_on(run(transport::Subject::of(plugin, &fixture)));
            }
        }
    }
}

#[test]
fn securities() {
    for plugin in linked(Layer::Security) {
        for fixture in plugin.fixtures() {
            for (law, run) in security::LAWS {
                println!("{} {law}", fixture.label);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                runtime.expect("a runtime starts").block_on(run(security::Subject::of(plugin, &fixture)));
            }
        }
    }
}

#[test]
fn muxers() {
    for plugin in linked(Layer::Muxer) {
        for fixture in plugin.fixtures() {
            for law in muxer::laws() {
                println!("{} {}", fixture.label, law.name);
                let muxer = plugin.build_from(fixture.options).expect("it builds").muxers.remove(0);
                (law.run)(muxer::Subject::new(muxer, plugin.summary.capabilities));
            }
        }
    }
}

#[test]
fn negotiators() {
    for plugin in linked(Layer::Negotiator) {
        for fixture in plugin.fixtures() {
            for (law, run) in negotiator::LAWS {
                println!("{} {law}", fixture.label);
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                runtime.expect("a runtime starts").block_on(run(negotiator::of_descriptor(plugin, &fixture)));
            }
        }
    }
}

#[test]
fn protectors() {
    for plugin in linked(Layer::Protector) {
        for (law, run) in protector::LAWS {
            println!("{} {law}", plugin.summary.name);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime starts").block_on(run(protector::Subject::of(plugin)));
        }
    }
}

/// The laws of the layers whose plug-ins do not meet others on the wire, for every plug-in that has a part in them.
#[test]
fn routers_discoveries_and_ways_through_nats() {
    for plugin in Catalogue::linked().expect("no two plug-ins clash").iter() {
        for fixture in plugin.fixtures() {
            let run = |law: &str, work: futures::future::BoxFuture<'static, ()>| {
                println!("{} {law}", fixture.label);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                runtime.expect("a runtime starts").block_on(work);
            };
            let parts = plugin.build_from(fixture.options).expect("a fixture builds");
            if parts.has(Layer::Routing) {
                router::LAWS.iter().for_each(|(law, of)| run(law, of(router::Subject::of(plugin, fixture.options))));
            }
            if parts.has(Layer::Discovery) {
                discovery::LAWS
                    .iter()
                    .for_each(|(law, of)| run(law, of(discovery::Subject::of(plugin, fixture.options))));
            }
            if parts.has(Layer::Nat) {
                nat::LAWS.iter().for_each(|(law, of)| run(law, of(nat::Subject::of(plugin, fixture.options))));
            }
        }
    }
}

/// What a plug-in says of its parts is what it builds: their layers, and for all but transports the ids that they answer
/// to on the wire.
#[test]
fn every_plug_in_has_the_parts_that_its_summary_names() {
    const LAYERS: [Layer; 9] = [
        Layer::Transport,
        Layer::Protector,
        Layer::Security,
        Layer::Muxer,
        Layer::Negotiator,
        Layer::Routing,
        Layer::Discovery,
        Layer::Nat,
        Layer::Protocol,
    ];
    for plugin in Catalogue::linked().expect("no two plug-ins clash").iter() {
        for fixture in plugin.fixtures() {
            let parts = plugin.build_from(fixture.options).expect("a fixture builds");
            for layer in LAYERS {
                let said = plugin.summary.all_ids().find(|(of, _)| *of == layer);
                assert_eq!(parts.has(layer), said.is_some(), "{} has a part in {layer}", fixture.label);
                let mut ids: Vec<String> = match layer {
                    Layer::Security => parts.securities.iter().map(|part| part.id().to_string()).collect(),
                    Layer::Muxer => parts.muxers.iter().map(|part| part.id().to_string()).collect(),
                    Layer::Protocol => {
                        parts.protocols.iter().flat_map(|part| part.ids()).map(|id| id.to_string()).collect()
                    }
                    _ => continue,
                };
                let mut said: Vec<String> =
                    said.map_or(&[][..], |(_, ids)| ids).iter().map(ToString::to_string).collect();
                // A second implementation of one protocol leaves its id to the first: the catalogue has each once.
                if !said.is_empty() {
                    ids.sort();
                    said.sort();
                    assert_eq!(ids, said, "{} in {layer}", fixture.label);
                }
            }
        }
    }
}
