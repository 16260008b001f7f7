//! Operators of ONNX to operators of the graph, one file per family. Each begins with its table
//! `lower`: a name on the left, what it becomes on the right.

mod activation;
mod arithmetic;
mod convolution;
mod create;
mod index;
mod linear;
mod norm;
mod reduce;
mod resample;
mod shape;

use super::importer::{Call, Importer, Outcome, Value};

/// The outputs of a node.
type Outputs<'m> = Outcome<Vec<Value<'m>>>;

/// The table of a family; `None` for names that are not in it.
type Family = for<'c, 'm, 'i> fn(&'i mut Importer<'m>, &Call<'c, 'm>) -> Option<Outputs<'m>>;

const FAMILIES: [Family; 10] = [
    activation::lower,
    arithmetic::lower,
    convolution::lower,
    create::lower,
    index::lower,
    linear::lower,
    norm::lower,
    reduce::lower,
    resample::lower,
    shape::lower,
];

impl<'m> Importer<'m> {
    /// What a node gives.
    pub(super) fn operator(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if matches!(call.node.domain, "" | "ai.onnx") {
            for family in FAMILIES {
                if let Some(outputs) = family(self, call) {
                    return outputs;
                }
            }
        }
        self.unsupported(call, "")
    }
}
