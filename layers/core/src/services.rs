//! Services: what parts of a program find by its trait instead of by its crate.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::Arc,
};

/// A set of services, at most one per trait.
///
/// ```
/// # use std::sync::Arc;
/// # use stackwire_core::Services;
/// trait Greeter: Send + Sync {
///     fn greet(&self) -> String;
/// }
/// struct Friendly;
/// impl Greeter for Friendly {
///     fn greet(&self) -> String {
///         "hello".into()
///     }
/// }
///
/// let mut services = Services::default();
/// services.insert::<dyn Greeter>(Arc::new(Friendly));
/// assert_eq!(services.get::<dyn Greeter>().unwrap().greet(), "hello");
/// ```
#[derive(Clone, Default)]
pub struct Services(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Services {
    /// Adds a service under its trait `S`. Returns the one that it replaces.
    pub fn insert<S: ?Sized + Send + Sync + 'static>(&mut self, service: Arc<S>) -> Option<Arc<S>> {
        // An `Arc` of a trait object has a size, so `Any` can hold it.
        let before = self.0.insert(TypeId::of::<S>(), Arc::new(service));
        before.as_deref().and_then(|before| before.downcast_ref::<Arc<S>>()).cloned()
    }

    /// The service of the trait `S`.
    pub fn get<S: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<S>> {
        self.0.get(&TypeId::of::<S>())?.downcast_ref::<Arc<S>>().cloned()
    }

    /// Adds those of `others` whose trait has no service here.
    pub fn add(&mut self, others: &Self) {
        for (of, service) in &others.0 {
            self.0.entry(*of).or_insert_with(|| service.clone());
        }
    }

    /// Removes those that `others` has, too: the same objects under the same traits.
    pub fn remove(&mut self, others: &Self) {
        self.0.retain(|of, service| others.0.get(of).is_none_or(|other| !Arc::ptr_eq(service, other)));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} services", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    trait One: Send + Sync {
        fn number(&self) -> u8;
    }
    trait Other: Send + Sync {}
    impl One for u8 {
        fn number(&self) -> u8 {
            *self
        }
    }
    impl Other for u8 {}

    #[test]
    fn each_trait_has_one_service() {
        let mut services = Services::default();
        assert!(services.is_empty() && services.get::<dyn One>().is_none());
        assert!(services.insert::<dyn One>(Arc::new(1_u8)).is_none());
        assert!(services.get::<dyn Other>().is_none(), "the same value, but not under this trait");
        assert_eq!(services.insert::<dyn One>(Arc::new(2_u8)).map(|before| before.number()), Some(1));
        let mut more = Services::default();
        more.insert::<dyn One>(Arc::new(3_u8));
        more.insert::<dyn Other>(Arc::new(3_u8));
        services.add(&more);
        assert_eq!(services.get::<dyn One>().map(|one| one.number()), Some(2), "the first stays");
        assert!(services.get::<dyn Other>().is_some());
        services.remove(&more);
        assert!(services.get::<dyn Other>().is_none() && services.get::<dyn One>().is_some(), "only what is the same");
    }
}
