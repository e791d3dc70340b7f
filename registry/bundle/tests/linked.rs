//! What a program that uses the bundle is linked with.

use stackwire_bundle as _;
use stackwire_config::{Catalogue, Plan};
use stackwire_core::Layer;

const PLUGINS: [(Layer, &str); 29] = [
    (Layer::Transport, "memory"),
    (Layer::Transport, "quic"),
    (Layer::Transport, "tcp"),
    (Layer::Transport, "unix"),
    (Layer::Transport, "utp"),
    (Layer::Transport, "websocket"),
    (Layer::Protector, "pnet"),
    (Layer::Security, "ecies"),
    (Layer::Security, "noise"),
    (Layer::Security, "noise-ik"),
    (Layer::Security, "noise-ix"),
    (Layer::Security, "plaintext"),
    (Layer::Security, "tls"),
    (Layer::Muxer, "mplex"),
    (Layer::Muxer, "priority"),
    (Layer::Muxer, "yamux"),
    (Layer::Muxer, "yamux-ref"),
    (Layer::Negotiator, "fixed"),
    (Layer::Negotiator, "libra"),
    (Layer::Negotiator, "multistream"),
    (Layer::Routing, "direct"),
    (Layer::Discovery, "seeds"),
    (Layer::Protocol, "echo"),
    (Layer::Protocol, "health"),
    (Layer::Protocol, "identify"),
    (Layer::Protocol, "monitor"),
    (Layer::Protocol, "perf"),
    (Layer::Protocol, "ping"),
    (Layer::Protocol, "status"),
];

#[test]
fn every_plug_in_is_linked_and_registered() {
    let catalogue = Catalogue::linked().unwrap();
    let names: Vec<_> = catalogue.iter().map(|d| (d.summary.layer, d.summary.name)).collect();
    assert_eq!(names, PLUGINS);
}

#[test]
fn every_dependency_registers_something() {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
    let catalogue = Catalogue::linked().unwrap();
    for package in manifest["dependencies"].as_table().unwrap().keys() {
        assert!(catalogue.iter().any(|d| d.package == package), "{package} is linked and registers nothing");
    }
}

#[test]
fn every_plug_in_says_who_it_is() {
    for descriptor in Catalogue::linked().unwrap().iter() {
        let summary = &descriptor.summary;
        assert!(!summary.summary.is_empty(), "{} has no summary", summary.name);
        let known = descriptor.schema();
        let known = known.get("properties").and_then(|p| p.as_object());
        for fixture in descriptor.fixtures() {
            descriptor
                .build_from(fixture.options)
                .unwrap_or_else(|e| panic!("{} {}: {e}", summary.name, fixture.label));
        }
        for (name, schema) in known.into_iter().flatten() {
            assert!(schema.get("description").is_some(), "option `{name}` of {} is not documented", summary.name);
        }
        // Plaintext's example is the one a user has to sign for.
        descriptor.build_from(summary.example).unwrap_or_else(|e| panic!("the example of {}: {e}", summary.name));
    }
}

/// Every number has a range that its schema says; beyond it there is an error that names the option and the range, and
/// at its ends either a plug-in or an error that names an option. Never a panic.
#[test]
fn every_number_has_a_range() {
    for descriptor in Catalogue::linked().unwrap().iter() {
        let schema = descriptor.schema();
        let mut numbers = Vec::new();
        numbers_of(schema.as_value(), schema.as_value(), "", &mut numbers);
        for (option, least, most) in numbers {
            let name = descriptor.summary.name;
            let (Some(least), Some(most)) = (least, most) else {
                panic!("`{option}` of {name} says no range: add `#[schemars(range(min = …, max = …))]`");
            };
            for beyond in [(least as i128) - 1, (most as i128) + 1, i128::from(i64::MAX), i128::from(i64::MIN)] {
                let Err(problem) = descriptor.build_from(&format!("{option} = {beyond}")) else {
                    panic!("{name} takes `{option} = {beyond}`");
                };
                let message = problem.message;
                assert!(message.contains(&format!("`{option}`")), "{name}: {message}");
                assert!(message.contains(&format!("from {least} to {most}")), "{name}: {message}");
            }
            for end in [least, most] {
                // What does not go together with the other options says with which.
                if let Err(problem) = descriptor.build_from(&format!("{option} = {end}")) {
                    assert!(problem.message.contains('`'), "{name}: {}", problem.message);
                }
            }
        }
    }
}

/// The numbers among the options of `schema`, with their ranges.
fn numbers_of(
    schema: &serde_json::Value,
    root: &serde_json::Value,
    prefix: &str,
    found: &mut Vec<(String, Option<f64>, Option<f64>)>,
) {
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    for (name, option) in properties.into_iter().flatten() {
        let part = option.get("$ref").and_then(|path| root.pointer(path.as_str()?.strip_prefix('#')?));
        let option = part.unwrap_or(option);
        numbers_of(option, root, &format!("{prefix}{name}."), found);
        let kinds = option.get("type").map(ToString::to_string).unwrap_or_default();
        if kinds.contains("integer") || kinds.contains("number") {
            let limit = |name| option.get(name).and_then(serde_json::Value::as_f64);
            found.push((format!("{prefix}{name}"), limit("minimum"), limit("maximum")));
        }
    }
}

#[test]
fn a_config_names_them() {
    let plan = Plan::parse(
        r#"
        [node]
        listen = ["/ip4/0.0.0.0/tcp/4001", "/memory/0", "/ip4/127.0.0.1/tcp/0/ws"]
        [[transport]]
        use = "tcp"
        [[transport]]
        use = "websocket"
        [[transport]]
        use = "memory"
        [[security]]
        use = "tls"
        [[security]]
        use = "noise"
        [[muxer]]
        use = "yamux"
        "#,
        &Catalogue::linked().unwrap(),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let stack = plan.stack();
    assert_eq!(stack.parts.transports.iter().map(|t| t.name()).collect::<Vec<_>>(), ["tcp", "websocket", "memory"]);
    assert_eq!((stack.parts.routers.len(), stack.parts.protocols.len()), (1, 2));
}
