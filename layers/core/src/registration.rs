//! What holds until its owner drops it.

use std::fmt;

/// Something that a plug-in has registered with its node. Dropping this takes it back.
#[must_use = "dropping a registration takes back what was registered"]
pub struct Registration(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Registration {
    /// Calls `take_back` when it is dropped.
    pub fn new(take_back: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(take_back)))
    }

    /// Lets what was registered stay as long as the node runs.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(take_back) = self.0.take() {
            take_back();
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registration")
    }
}
