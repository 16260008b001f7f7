//! Operators of PyTorch to operators of the graph, one file per family. Each begins with its table
//! `lower`: a name on the left, what it becomes on the right.

mod activation;
mod arithmetic;
mod attention;
mod convolution;
mod copy;
mod create;
mod grid;
mod join;
mod linear;
mod lookup;
mod norm;
mod operands;
mod parametrisation;
mod pool;
mod rearrange;
mod reduce;
mod resample;
mod view;

pub(super) use operands::Arguments;
use operands::is_unknown;

use std::rc::Rc;

use super::evaluate::{Evaluator, Outcome};
use super::value::{Tensor, Value};

/// The table of a family; `None` for names that are not in it.
type Family = for<'a, 'e, 'r> fn(
    &'e mut Evaluator<'a, 'r>,
    &str,
    &Arguments<'a>,
) -> Option<Outcome<Value<'a>>>;

const FAMILIES: [Family; 17] = [
    activation::lower,
    arithmetic::lower,
    attention::lower,
    convolution::lower,
    copy::lower,
    create::lower,
    grid::lower,
    join::lower,
    linear::lower,
    lookup::lower,
    norm::lower,
    parametrisation::lower,
    pool::lower,
    rearrange::lower,
    reduce::lower,
    resample::lower,
    view::lower,
];

impl<'a> Evaluator<'a, '_> {
    /// An operator of PyTorch on tensors or numbers.
    pub(super) fn operator(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        if let Some(plain) = name.strip_suffix('_')
            && !plain.ends_with('_')
            && let Some(Value::Tensor(target)) = a.get(0, "self")
        {
            return self.in_place(plain, target, a);
        }
        for family in FAMILIES {
            if let Some(value) = family(self, name, a) {
                return value;
            }
        }
        Ok(self.unsupported(name))
    }

    /// `name_` is what `name` gives, written into its first argument.
    fn in_place(
        &mut self,
        name: &str,
        target: Rc<Tensor>,
        a: &Arguments<'a>,
    ) -> Outcome<Value<'a>> {
        let value = match name {
            "copy" | "fill" => a.need(1, "value")?,
            "zero" => Value::int(0),
            "requires_grad" | "detach" => return a.need(0, "self"),
            name => self.builtin(name, a.positional.clone(), a.named.clone())?,
        };
        if is_unknown(&value) {
            return Ok(Value::Unknown);
        }
        let value = self.argument(&value)?;
        self.write(&target, value)?;
        Ok(Value::Tensor(target))
    }
}
