use stackwire_conformance::transport::{LAWS, Subject};
use stackwire_core::Layer;
use stackwire_wrap::over_transport;

use super::{distance_and_waits, each, linked, run, with};

/// Those that need no socket of the operating system, whose time would be real.
#[test]
fn far_away_on_a_busy_machine() {
    for plugin in linked(Layer::Transport).into_iter().filter(|plugin| plugin.summary.capabilities.in_process) {
        for fixture in plugin.fixtures() {
            each(fixture.label, LAWS.iter().map(|(name, _)| *name), &[], |name| {
                let mut subject = Subject::of(plugin, &fixture);
                subject.transport = over_transport(subject.transport, with(distance_and_waits()));
                let (_, law) = LAWS.iter().find(|(known, _)| *known == name).expect("it is one of them");
                run(law(subject));
            });
        }
    }
}
