//! What code adds to a stack of text, in every slot: it survives a new text, and takes the place of what it replaces.

mod fake;

use std::sync::Arc;

use fake::Fake;
use stackwire_config::{Parts, Plan, Stack};

const TEXT: &str = "[[transport]]\nuse = \"tcp\"\n[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"noise\"\n\
                    [[muxer]]\nuse = \"yamux\"\n";

fn plan(text: &str) -> Plan {
    Plan::parse(text, &fake::catalogue()).unwrap_or_else(|error| panic!("{error}"))
}

/// A stack with one plug-in called `name` in every slot.
fn everywhere(name: &'static str) -> Stack {
    let fake = || Arc::new(Fake(name, |_| false));
    let parts = Parts::new().transport(fake()).protector(fake()).negotiator(fake()).security(fake()).muxer(fake());
    let parts = parts.router(fake()).discovery(fake()).nat(fake()).protocol(fake());
    Stack { parts, ..Stack::default() }
}

/// The names in every slot, and where their plug-ins lie.
fn slots(stack: &Stack) -> [Vec<(String, usize)>; 9] {
    macro_rules! slot {
        ($slot:ident, $name:expr) => {
            stack.parts.$slot.iter().map(|part| ($name(&**part), Arc::as_ptr(part).cast::<()>() as usize)).collect()
        };
    }
    [
        slot!(transports, |part: &dyn stackwire_core::Transport| part.name().to_string()),
        slot!(protectors, |part: &dyn stackwire_core::Protector| part.name().to_string()),
        slot!(negotiators, |part: &dyn stackwire_core::Negotiator| part.name().to_string()),
        slot!(securities, |part: &dyn stackwire_core::Security| part.name().to_string()),
        slot!(muxers, |part: &dyn stackwire_core::Muxer| part.name().to_string()),
        slot!(routers, |part: &dyn stackwire_core::Router| part.name().to_string()),
        slot!(discoveries, |part: &dyn stackwire_core::Discovery| part.name().to_string()),
        slot!(nats, |part: &dyn stackwire_core::Nat| part.name().to_string()),
        slot!(protocols, |part: &dyn stackwire_core::Protocol| part.ids()[0].to_string()),
    ]
}

#[test]
fn what_code_added_survives_an_unchanged_text_in_every_slot() {
    let mut stack = plan(TEXT).stack();
    stack.add(everywhere("ours"));
    let before = slots(&stack);
    for (slot, names) in before.iter().enumerate() {
        assert_eq!(names.iter().filter(|(name, _)| name == "ours").count(), 1, "slot {slot}: {names:?}");
    }
    for _ in 0..3 {
        stack = plan(TEXT).stack_after(&stack);
        assert_eq!(slots(&stack), before, "the same plug-ins, in the same order, once each");
    }
}

#[test]
fn what_code_added_survives_another_text() {
    let mut stack = plan(TEXT).stack();
    stack.add(everywhere("ours"));
    let ours = |stack: &Stack| slots(stack).map(|slot| slot.into_iter().find(|(name, _)| name == "ours"));
    let before = ours(&stack);
    let other = TEXT
        .replace("memory", "web")
        .replace("[[muxer]]", "[[security]]\nuse = \"plaintext\"\ninsecure = true\n[[muxer]]");
    let stack = plan(&other).stack_after(&stack);
    assert_eq!(ours(&stack), before);
    let names = |slot: usize| slots(&stack)[slot].iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(0), names(3)),
        (vec!["tcp".into(), "web".into(), "ours".into()], vec!["noise".into(), "plaintext".into(), "ours".into()])
    );
}

#[test]
fn what_was_put_into_a_slot_by_hand_is_as_good() {
    let mut stack = plan(TEXT).stack();
    stack.parts.protocols.push(Arc::new(Fake("ours", |_| false)));
    let before = slots(&stack);
    assert_eq!(slots(&plan(TEXT).stack_after(&stack)), before);
    // A stack without any text is code's altogether.
    let stack = plan(TEXT).stack_after(&everywhere("ours"));
    assert!(slots(&stack).iter().all(|slot| slot.last().is_some_and(|(name, _)| name == "ours")));
}

#[test]
fn code_takes_the_place_of_the_text_where_both_have_a_name() {
    let text = format!(
        "{TEXT}[[routing]]\nuse = \"direct\"\n[[protocol]]\nuse = \"identify\"\n[[protocol]]\nuse = \"ping\"\n"
    );
    for (slot, name) in [(0, "tcp"), (3, "noise"), (4, "yamux"), (5, "direct"), (8, "/identify")] {
        let mut stack = plan(&text).stack();
        let of_text = slots(&stack)[slot].clone();
        let one = everywhere(name);
        let mine = slots(&one)[slot][0].clone();
        let mut only = Stack::default();
        match slot {
            0 => only.parts.transports = one.parts.transports,
            3 => only.parts.securities = one.parts.securities,
            4 => only.parts.muxers = one.parts.muxers,
            5 => only.parts.routers = one.parts.routers,
            _ => only.parts.protocols = one.parts.protocols,
        }
        stack.add(only);
        let mut expected = of_text;
        expected[0] = mine;
        assert_eq!(slots(&stack)[slot], expected);
        let stack = plan(&text).stack_after(&stack);
        assert_eq!(slots(&stack)[slot][0], expected[0]);
        assert_eq!(slots(&stack)[slot].len(), expected.len());
    }
}

#[test]
fn code_may_have_several_of_one_name() {
    let mut stack = plan(TEXT).stack();
    stack.add(everywhere("ours"));
    stack.add(everywhere("ours"));
    assert_eq!(stack.parts.transports.len(), 4);
    assert_eq!(plan(TEXT).stack_after(&stack).parts.transports.len(), 4);
}
