//! Two ways to measure.

/// Whose definitions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The reference package's, faults included, so that cohorts stay comparable.
    Reference,
    /// Ours, with those faults corrected.
    Corrected,
}
