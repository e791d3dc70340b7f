//! Which module of a crate names which, and the cycles among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};
use syn::{
    Attribute, Item, ItemMod, ItemUse, UseTree,
    visit::{self, Visit},
};

/// A module, by the names that lead to it from the root of its crate.
type Module = Vec<String>;

/// The cycles among the modules of the crate whose sources are in `source`: each a set of modules that all reach each
/// other. A module and those inside it are one thing: what they name of each other counts for nothing. Tests are left out.
pub fn cycles(source: &Path) -> Vec<BTreeSet<String>> {
    let modules = modules(source);
    let names: Vec<&Module> = modules.keys().collect();
    let index = |module: &Module| names.iter().position(|name| *name == module);
    let mut graph = DiGraphMap::<usize, ()>::new();
    for (from, (module, text)) in modules.iter().enumerate() {
        for named in named(module, text, &modules) {
            let inside = named.starts_with(module) || module.starts_with(&named);
            if let Some(to) = index(&named).filter(|_| !inside) {
                graph.add_edge(from, to, ());
            }
        }
    }
    let cycles = tarjan_scc(&graph).into_iter().filter(|cycle| cycle.len() > 1);
    cycles.map(|cycle| cycle.into_iter().map(|at| names[at].join("::")).collect()).collect()
}

/// The modules of a crate and their texts; a file each.
fn modules(source: &Path) -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    for path in crate::entries(source).iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let mut module: Module =
            path.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
            module.pop();
        }
        if !module.iter().any(|name| name.starts_with("tests")) {
            found.insert(module, fs::read_to_string(source.join(path)).expect("a source file is text"));
        }
    }
    found
}

/// The modules that `module` names in its `text`, the root left out: whatever is named there lies somewhere else.
fn named(module: &Module, text: &str, modules: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    let file = syn::parse_file(text).expect("a source file parses");
    let mut paths = Paths::default();
    paths.visit_file(&file);
    let lead = |path: &[String]| -> Option<Module> {
        let (mut at, rest) = match path.first()?.as_str() {
            "crate" => (Module::new(), &path[1..]),
            "self" => (module.clone(), &path[1..]),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                (module[..module.len().checked_sub(up)?].to_vec(), &path[up..])
            }
            _ => (module.clone(), path),
        };
        for part in rest {
            at.push(part.clone());
            if !modules.contains_key(&at) {
                at.pop();
                break;
            }
        }
        Some(at).filter(|at| !at.is_empty() && at != module)
    };
    paths.0.iter().filter_map(|path| lead(path)).collect()
}

/// Every path that code names.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        // What stands in a module inside this file is this file's, `super` and all.
        visit::visit_item_mod(self, module);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.flatten(Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(path.segments.iter().map(|part| part.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

impl Paths {
    fn flatten(&mut self, before: Vec<String>, tree: &UseTree) {
        let with = |name: String| before.iter().cloned().chain([name]).collect();
        match tree {
            UseTree::Path(path) => self.flatten(with(path.ident.to_string()), &path.tree),
            UseTree::Name(name) => self.0.push(with(name.ident.to_string())),
            UseTree::Rename(name) => self.0.push(with(name.ident.to_string())),
            UseTree::Glob(_) => self.0.push(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.flatten(before.clone(), tree)),
        }
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        _ => &[],
    }
}
