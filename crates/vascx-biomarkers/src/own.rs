//! Our own set of biomarkers.

use crate::sets::Variable;

/// The columns of the set.
pub(crate) fn variables() -> Vec<Variable> {
    Vec::new()
}
