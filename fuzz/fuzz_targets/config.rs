//! Config text, with every plug-in that our programs have.

#![no_main]

use std::sync::LazyLock;

use stackwire_bundle as _;
use stackwire_config::{Catalogue, Plan};
use stackwire_core::Layer;
use stackwire_fuzz::target;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::linked().expect("no name is taken twice"));

target!(
    |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let error = match Plan::parse(text, &CATALOGUE) {
            Ok(plan) => {
                for layer in [Layer::Transport, Layer::Security, Layer::Muxer] {
                    assert!(plan.layer(layer).next().is_some(), "no {layer}");
                }
                assert!(!plan.to_string().is_empty());
                return drop(plan.stack());
            }
            Err(error) => error,
        };
        assert!(!error.problems.is_empty() && !error.to_string().is_empty());
        for problem in &error.problems {
            let line = text.split('\n').nth(problem.line.wrapping_sub(1)).expect("a line of the text");
            assert!((1..=line.chars().count() + 1).contains(&problem.column), "{problem:?}");
            assert!(problem.span.clone().is_none_or(|span| text.get(span).is_some()), "{problem:?}");
        }
    },
    examples: {
        let section = |layer: Layer, name: &str, options: &str| format!("[[{layer}]]\nuse = \"{name}\"\n{options}\n");
        let least = "[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";
        let node = "[node]\nidentity = \"node.key\"\nlisten = [\"/ip4/0.0.0.0/tcp/4001\"]\n\
                    limits.max_connections = 9\ntimeouts.dial_secs = 1.5\n";
        let mut examples = vec![format!("{node}{least}"), format!("routing = []\nprotocol = []\n{node}{least}")];
        for plugin in CATALOGUE.iter() {
            let summary = &plugin.summary;
            examples.push(format!("{least}{}", section(summary.layer, summary.name, summary.example)));
        }
        examples.into_iter().map(String::into_bytes).collect()
    }
);
