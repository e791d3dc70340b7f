//! Modules name each other in one direction.

use std::fs;

use stackwire_architecture::{cycles, members, root};

/// More modules than this that all name each other can be understood only together.
const MOST: usize = 3;

#[test]
fn modules_form_no_large_cycles() {
    let mut wrong = Vec::new();
    for member in members() {
        let source = root().join(&member.folder).join("src");
        if !source.is_dir() {
            continue;
        }
        let largest = cycles(&source).into_iter().max_by_key(|cycle| cycle.len()).unwrap_or_default();
        if largest.len() > MOST {
            wrong.push(format!("{}: {} modules name each other: {largest:?}", member.folder, largest.len()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_cycle_is_found_however_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("a folder is made");
        fs::write(path, text).expect("a file is written");
    };
    write("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\npub use a::A;\n");
    write("a.rs", "use crate::{b::{self, B}};\npub struct A(B);\n");
    write("b/mod.rs", "mod inner;\npub struct B;\nfn f() { crate::c::g(); }\n");
    write("b/inner.rs", "use super::B;\n");
    write("c.rs", "use super::a::A as Other;\npub fn g() {}\n");
    // Tests may name whatever they like, and a child is a part of its parent.
    write("d.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n");
    let found: Vec<Vec<String>> = cycles(folder.path()).into_iter().map(|cycle| cycle.into_iter().collect()).collect();
    assert_eq!(found, [["a", "b", "c"]]);
}
