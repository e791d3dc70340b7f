//! Every plug-in that is linked keeps the laws of its layer, whether or not its own tests say so.

use stackwire_bundle as _;
use stackwire_conformance::{muxer, negotiator, protector, security, transport};
use stackwire_core::Layer;
use stackwire_plugin::{Built, Catalogue, Descriptor};

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
                let Ok(Built::Muxer(muxer)) = plugin.build_from(fixture.options) else {
                    panic!("{} can't be built by its fixture", fixture.label)
                };
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
