//! The catalogue: what is in it, and what it refuses.

use std::sync::Arc;

use stackwire_core::{Error, Host, Kind, Layer, Protocol, ProtocolId, Result, Stream};
use stackwire_plugin::{
    Capabilities, Catalogue, Descriptor, Fixture, Parts, Plugin, Summary, register, schemars, serde,
};

struct Nothing;

#[async_trait::async_trait]
impl Protocol for Nothing {
    fn ids(&self) -> Vec<ProtocolId> {
        Vec::new()
    }
    async fn serve(&self, _: Stream, _: &Host) -> Result<()> {
        Ok(())
    }
}

/// Declares a protocol of no behaviour.
macro_rules! plugin {
    ($config:ident, $summary:expr) => {
        #[derive(Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(crate = "serde", default, deny_unknown_fields)]
        #[schemars(crate = "schemars")]
        struct $config {
            /// Whether to refuse.
            refuse: bool,
        }

        impl Plugin for $config {
            const SUMMARY: Summary = $summary;
            fn build(self) -> Result<Parts> {
                match self.refuse {
                    true => Err(Error::new(Kind::ConfigInvalid, "`refuse` and itself contradict each other")),
                    false => Ok(Parts::new().protocol(Arc::new(Nothing))),
                }
            }
        }
    };
}

plugin!(Ping, Summary::new(Layer::Protocol, "ping", "answers").ids(&["/ping/1"]));
plugin!(OtherPing, Summary::new(Layer::Protocol, "ping", "answers, too").ids(&["/ping/2"]));
plugin!(Pong, Summary::new(Layer::Protocol, "pong", "answers with the id of ping").ids(&["/pong/1", "/ping/1"]));
plugin!(Echo, Summary::new(Layer::Protocol, "echo", "repeats"));
plugin!(EchoOfAnotherLayer, Summary::new(Layer::Discovery, "echo", "an echo of another layer"));
plugin!(
    Tagged,
    Summary::new(Layer::Transport, "tagged", "has everything")
        .example("refuse = false")
        .capabilities(Capabilities { in_process: true, ..Capabilities::DEFAULT })
        .fixtures(&[Fixture { label: "one", options: "", listen: "/memory/0" }])
);

static PING: Descriptor = Descriptor::of::<Ping>("ping-package");
static OTHER_PING: Descriptor = Descriptor::of::<OtherPing>("a-ping-package");
static PONG: Descriptor = Descriptor::of::<Pong>("pong-package");
static ECHO: Descriptor = Descriptor::of::<Echo>("echo-package");
static ECHO_OF_ANOTHER_LAYER: Descriptor = Descriptor::of::<EchoOfAnotherLayer>("other-echo-package");
static TAGGED: Descriptor = Descriptor::of::<Tagged>("tagged-package");

register!(Tagged);

#[test]
fn registered_plug_ins_are_linked() {
    let catalogue = Catalogue::linked().unwrap();
    let tagged = catalogue.get(Layer::Transport, "tagged").unwrap();
    assert_eq!(tagged.package, "stackwire-plugin", "the package whose code registered it");
    assert_eq!(catalogue.iter().count(), 1, "the others are described and not registered");
}

#[test]
fn plug_ins_are_sorted_by_layer_and_name_whatever_the_order_they_came_in() {
    let names = |catalogue: &Catalogue| catalogue.iter().map(|d| d.summary.name).collect::<Vec<_>>();
    let all = [&PING, &ECHO_OF_ANOTHER_LAYER, &TAGGED, &ECHO];
    for turn in 0..all.len() {
        let mut turned = all;
        turned.rotate_left(turn);
        let catalogue = Catalogue::of(turned).unwrap();
        assert_eq!(names(&catalogue), ["tagged", "echo", "echo", "ping"]);
        assert_eq!(catalogue.layer(Layer::Protocol).map(|d| d.summary.name).collect::<Vec<_>>(), ["echo", "ping"]);
        assert_eq!(
            catalogue.named("echo").map(|d| d.summary.layer).collect::<Vec<_>>(),
            [Layer::Discovery, Layer::Protocol]
        );
    }
}

#[test]
fn a_name_that_two_packages_claim_is_refused_and_both_are_named() {
    let words =
        "the protocol name `ping` is claimed by two packages, a-ping-package and ping-package: link one of them";
    for order in [[&PING, &OTHER_PING], [&OTHER_PING, &PING]] {
        let error = Catalogue::of(order).err().unwrap();
        assert_eq!((error.kind(), error.to_string().as_str()), (&Kind::ConfigInvalid, words));
    }
}

#[test]
fn a_wire_id_that_two_packages_claim_is_refused_and_both_are_named() {
    let error = Catalogue::of([&PING, &PONG]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the protocol id `/ping/1` is claimed by two packages, ping-package and pong-package: link one of them"
    );
}

#[test]
fn a_name_that_is_not_linked_is_told_what_is() {
    let catalogue = Catalogue::of([&PING, &ECHO, &TAGGED]).unwrap();
    let words = |layer, name| catalogue.get(layer, name).err().unwrap().to_string();
    assert_eq!(
        words(Layer::Protocol, "pign"),
        "protocol `pign` is not linked; available: echo, ping; did you mean `ping`?"
    );
    assert_eq!(words(Layer::Protocol, "gossip"), "protocol `gossip` is not linked; available: echo, ping");
    assert_eq!(words(Layer::Transport, "ping"), "transport `ping` is not linked; available: tagged");
    assert_eq!(words(Layer::Muxer, "yamux"), "muxer `yamux` is not linked; available: none");
}

#[test]
fn building_checks_the_options_and_the_plug_in_checks_their_sense() {
    assert!(PING.build_from("").unwrap().has(Layer::Protocol));
    assert!(PING.build_from("refuse = false").is_ok());
    let problem = PING.build_from("refuse = true").err().unwrap();
    assert_eq!(problem.message, "`refuse` and itself contradict each other");
    assert!(problem.span.is_some_and(|span| span.end <= "refuse = true".len()), "within the text");
    let problem = PING.build_from("refus = true").err().unwrap();
    assert_eq!(problem.to_string(), "unknown key `refus`; available: refuse; did you mean `refuse`?");
    assert_eq!(problem.span, Some(0..5));
}

#[test]
fn the_schema_documents_the_options() {
    let schema = PING.schema();
    let option = schema.pointer("/properties/refuse").unwrap();
    assert_eq!(option.get("description").and_then(|d| d.as_str()), Some("Whether to refuse."));
}

#[test]
fn a_plug_in_without_fixtures_is_tested_by_its_defaults() {
    assert_eq!(PING.fixtures(), [Fixture { label: "ping", options: "", listen: "" }]);
    assert_eq!(TAGGED.fixtures()[0].listen, "/memory/0");
    plugin!(Bare, Summary::new(Layer::Transport, "bare", "says nowhere to listen"));
    assert_eq!(Descriptor::of::<Bare>("bare-package").fixtures(), []);
}
