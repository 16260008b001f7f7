//! What a kernel makes of a layer's weights, kept beside the layer.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A value `V` and the weights `W` it was made of, if there is one yet.
pub(super) struct WeightCache<W, V>(Mutex<Option<Box<Entry<W, V>>>>);

struct Entry<W, V> {
    /// Holding on to them keeps their identity from being used again.
    weights: W,
    value: Arc<V>,
}

impl<W, V> Default for WeightCache<W, V> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<W, V> Clone for WeightCache<W, V> {
    /// A copy is empty, for its layer may be about to change.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<W, V> fmt::Debug for WeightCache<W, V> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("WeightCache")
    }
}

impl<W, V> WeightCache<W, V> {
    /// The value made of these weights; made now if there is none or it is of others.
    pub(super) fn get(
        &self,
        weights: W,
        same: impl FnOnce(&W, &W) -> bool,
        make: impl FnOnce() -> V,
    ) -> Arc<V> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = kept.as_deref()
            && same(&entry.weights, &weights)
        {
            return entry.value.clone();
        }
        let value = Arc::new(make());
        *kept = Some(Box::new(Entry {
            weights,
            value: value.clone(),
        }));
        value
    }
}
