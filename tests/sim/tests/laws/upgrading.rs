//! What upgrades a connection: protectors, security protocols, negotiators.

use stackwire_conformance::{env_seeded, negotiator, protector, security};
use stackwire_core::Layer;
use stackwire_wrap::{Faults, over_negotiator, over_protector, over_security};

use super::{Exception, distance, distance_and_waits, each, linked, run, with};

fn names<T>(laws: &[(&'static str, T)]) -> Vec<&'static str> {
    laws.iter().map(|(name, _)| *name).collect()
}

fn find<T: Copy>(laws: &[(&'static str, T)], name: &str) -> T {
    laws.iter().find(|(known, _)| *known == name).expect("it is one of them").1
}

#[test]
fn securities_far_away_on_a_busy_machine() {
    for plugin in linked(Layer::Security) {
        for fixture in plugin.fixtures() {
            each(fixture.label, names(security::LAWS), &[], |name| {
                let mut subject = security::Subject::of(plugin, &fixture);
                subject.security = over_security(subject.security, with(distance_and_waits()));
                run(find(security::LAWS, name)(subject));
            });
        }
    }
}

#[test]
fn protectors_far_away_on_a_busy_machine() {
    for plugin in linked(Layer::Protector) {
        each(plugin.summary.name, names(protector::LAWS), &[], |name| {
            let protector::Subject { ours, others } = protector::Subject::of(plugin);
            let over = |protector| over_protector(protector, with(distance_and_waits()));
            run(find(protector::LAWS, name)(protector::Subject { ours: over(ours), others: over(others) }));
        });
    }
}

fn negotiators(faults: Faults, exceptions: &[Exception]) {
    for plugin in linked(Layer::Negotiator) {
        for fixture in plugin.fixtures() {
            each(fixture.label, names(negotiator::LAWS), exceptions, |name| {
                let negotiator = negotiator::of_descriptor(plugin, &fixture);
                let negotiator = over_negotiator(negotiator, with(faults.clone()), &env_seeded(7));
                run(find(negotiator::LAWS, name)(negotiator));
            });
        }
    }
}

#[test]
fn negotiators_far_away() {
    negotiators(distance(), &[]);
}

#[test]
fn negotiators_far_away_on_a_busy_machine() {
    const POLLS_ONCE: &str = "it polls once and looks at what was written by then";
    let exceptions = [
        ("its_own_first_bytes_are_recognized", POLLS_ONCE),
        ("the_first_bytes_of_others_are_not_recognized", POLLS_ONCE),
    ];
    negotiators(distance_and_waits(), &exceptions);
}
