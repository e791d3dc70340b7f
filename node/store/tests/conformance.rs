//! Both kinds of storage keep the laws of stores.

use std::sync::Arc;

use stackwire_conformance::{env, store::Subject, store_laws};
use stackwire_core::{
    Kind,
    store::{Bounds, MAX_NAMESPACE},
};
use stackwire_store::{MAX_NAMESPACES, Storage};

fn memory() -> Subject {
    of(Storage::memory(), None)
}

fn file() -> Subject {
    let folder = tempfile::tempdir().expect("a folder");
    let (storage, aside) = Storage::open(folder.path(), &env()).expect("it opens");
    assert!(aside.is_none());
    of(storage, Some(folder))
}

fn of(storage: Storage, folder: Option<tempfile::TempDir>) -> Subject {
    let kept = Arc::new((storage, folder));
    Subject::new(move |namespace, bounds| kept.0.namespace(namespace, bounds).expect("a good name"))
}

mod in_memory {
    use super::*;
    store_laws!(memory);
}

mod in_a_file {
    use super::*;
    store_laws!(file);
}

#[test]
fn namespaces_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = Storage::open(folder.path(), &env()).unwrap();
    let bounds = Bounds { entries: 1, bytes: 1 };
    for storage in [Storage::memory(), file] {
        for bad in ["", "Peers", "..\\", &"x".repeat(MAX_NAMESPACE + 1)] {
            let error = storage.namespace(bad, bounds).err().expect("a bad name");
            assert_eq!(error.kind(), &Kind::ConfigInvalid);
        }
        (0..MAX_NAMESPACES).for_each(|n| drop(storage.namespace(&n.to_string(), bounds).unwrap()));
        let error = storage.namespace("more", bounds).err().expect("one too many");
        assert!(matches!(error.kind(), Kind::LimitExceeded { .. }), "{error}");
        assert!(storage.namespace("0", bounds).is_ok(), "those that are there stay");
        assert_eq!(storage.namespaces().len(), MAX_NAMESPACES);
    }
}
