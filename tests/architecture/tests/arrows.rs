//! Which crate may depend on which.

use stackwire_architecture::{Member, PLUGIN_FOLDERS, area, members};

/// Who may be depended on from `member`; `None` where there is no law.
fn may_need(member: &Member, other: &str) -> bool {
    match member.folder.as_str() {
        "layers/core" => false,
        "registry/plugin" => other == "layers/core",
        "registry/config" => ["layers/core", "layers/files", "layers/trust", "registry/plugin"].contains(&other),
        // Lists of trusted peers stand in files.
        "layers/trust" => ["layers/core", "layers/files"].contains(&other),
        // What several plug-ins share and no layer is: files, sockets, certificates, sealed records, drivers, BCS, watching connections.
        "layers/files" | "layers/socket" | "layers/certificate" | "layers/records" | "layers/driver" | "layers/bcs"
        | "layers/liveness" => other == "layers/core",
        "registry/bundle" => PLUGIN_FOLDERS.contains(&area(other)),
        // Policy is pure, and what survives a restart knows only the contract.
        "node/peers" | "node/connectivity" | "node/store" => other == "layers/core",
        "node/switch" => area(other) == "layers" || ["registry/config", "node/peers"].contains(&other),
        "node/node" => area(other) == "layers" || other == "registry/config" || area(other) == "node",
        _ => match member.area() {
            "layers" => other == "layers/core",
            plugins if PLUGIN_FOLDERS.contains(&plugins) => [
                "layers/core",
                "layers/files",
                "layers/socket",
                "layers/certificate",
                "layers/records",
                "layers/driver",
                "layers/bcs",
                "layers/liveness",
                "layers/trust",
                "registry/plugin",
            ]
            .contains(&other),
            // Of tests, programs need only the simulated network, which `stackwire sim` shows.
            "apps" => area(other) != "tests" || other == "tests/sim",
            "bindings" | "examples" | "tests" | "benches" => true,
            _ => panic!("{} lies nowhere: give its folder a place in this test", member.folder),
        },
    }
}

#[test]
fn every_dependency_follows_an_arrow() {
    let mut wrong = Vec::new();
    for member in members() {
        for other in member.needs.iter().filter(|other| !may_need(&member, other)) {
            wrong.push(format!("{} must not depend on {other}", member.folder));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_programs_and_tests_depend_on_the_bundle() {
    for member in members().iter().filter(|member| member.needs.iter().any(|other| other == "registry/bundle")) {
        assert!(
            ["apps", "bindings", "examples", "tests", "benches"].contains(&member.area()),
            "{} depends on registry/bundle",
            member.folder
        );
    }
}

#[test]
fn the_tests_of_a_plug_in_need_no_other_plug_in() {
    for member in members().iter().filter(|member| PLUGIN_FOLDERS.contains(&member.area())) {
        for other in &member.tests_need {
            assert!(!PLUGIN_FOLDERS.contains(&area(other)), "the tests of {} need {other}", member.folder);
        }
    }
}

#[test]
fn every_plug_in_is_in_the_bundle() {
    let members = members();
    let bundle = members.iter().find(|member| member.folder == "registry/bundle").expect("there is a bundle");
    let missing: Vec<_> = members
        .iter()
        .filter(|member| PLUGIN_FOLDERS.contains(&member.area()) && !bundle.needs.contains(&member.folder))
        .map(|member| &member.folder)
        .collect();
    assert!(missing.is_empty(), "not in registry/bundle/Cargo.toml: {missing:?}");
}

#[test]
fn the_laws_can_be_broken() {
    let member = |folder: &str| Member { folder: folder.into(), needs: Vec::new(), tests_need: Vec::new() };
    for (from, to) in [
        ("layers/core", "registry/plugin"),
        ("layers/upgrade", "negotiators/multistream"),
        ("node/switch", "negotiators/multistream"),
        ("node/switch", "node/node"),
        ("node/switch", "node/connectivity"),
        ("node/peers", "node/switch"),
        ("node/connectivity", "node/peers"),
        ("node/connectivity", "registry/config"),
        ("transports/websocket", "transports/tcp"),
        ("protocols/ping", "node/node"),
        ("node/node", "registry/plugin"),
        ("node/node", "registry/bundle"),
        ("node/store", "node/node"),
        ("node/store", "layers/files"),
        ("transports/tcp", "node/store"),
        ("registry/bundle", "layers/core"),
        ("registry/config", "registry/bundle"),
        ("apps/cli", "tests/conformance"),
        ("node/node", "tests/sim"),
    ] {
        assert!(!may_need(&member(from), to), "{from} -> {to}");
    }
    assert!(may_need(&member("apps/cli"), "tests/sim"));
    assert!(may_need(&member("transports/tcp"), "registry/plugin"));
    assert!(may_need(&member("registry/bundle"), "routing/direct"));
    assert!(may_need(&member("node/store"), "layers/core") && may_need(&member("node/node"), "node/store"));
}
