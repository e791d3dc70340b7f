//! The plug-ins that CONTRIBUTING.md leads to keep every law: what is written there is enough.

use stackwire_conformance::{
    discovery, discovery_laws,
    host::{FakeHost, connect},
    in_time, nat, nat_laws, router, router_laws,
    transport::Subject,
    transport_laws,
};
use stackwire_core::HostApi;
use stackwire_plugin::Plugin;
use tokio::io::AsyncReadExt;

#[path = "scaffold/gate.rs"]
mod gate;
#[path = "scaffold/guide.rs"]
mod guide;
#[path = "scaffold/herald.rs"]
mod herald;
#[path = "scaffold/loopback.rs"]
mod loopback;
#[path = "scaffold/tally.rs"]
mod tally;

mod transports {
    use super::*;
    transport_laws!(Subject::of_plugin::<loopback::LoopConfig>);
}

mod routers {
    use super::*;
    router_laws!(
        || router::Subject::of_plugin::<guide::GuideConfig>("everybody = \"/ip4/192.0.2.9/tcp/9\"").not_learning()
    );
}

mod discoveries {
    use super::*;
    const TWO: &str = r#"addresses = ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/2"]"#;
    discovery_laws!(|| discovery::Subject::of_plugin::<herald::HeraldConfig>(TWO));
}

mod nats {
    use super::*;
    nat_laws!(|| nat::Subject::of_plugin::<gate::GateConfig>("outside = \"/ip4/192.0.2.1/tcp/1\""));
}

/// A service has no laws of its own: what it promises is its trait's. It is found by that, and shares its plug-in's state.
#[tokio::test]
async fn a_service_is_found_by_its_trait_and_shares_its_plug_ins_state() {
    let parts = tally::TallyConfig::default().build().expect("it builds");
    let (server, client) = (FakeHost::new(1, parts.protocols.clone()), FakeHost::new(2, vec![]));
    server.add_service(parts.services.get::<dyn tally::Tally>().expect("the plug-in has it"));
    let (_, _) = connect(&client, &server);
    for number in 1..=2_u64 {
        let mut stream = client.open_stream(server.peer(), &["/tally/1.0.0".into()]).await.expect("it is served");
        let mut answer = [0; 8];
        in_time("an answer", stream.read_exact(&mut answer)).await.expect("it answers");
        assert_eq!(u64::from_be_bytes(answer), number);
        let service = server.host().service::<dyn tally::Tally>().expect("the host has it");
        assert_eq!(service.served(), number);
    }
    assert!(client.host().service::<dyn tally::Tally>().is_none(), "who has not the plug-in has not the service");
}
