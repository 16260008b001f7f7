//! The operator calls in the TorchScript source of a class.
//!
//! A traced leaf module (`Conv2d`, `LeakyReLU`, …) keeps its numbers (stride, ε, slope) only as
//! literals in the call it compiles to. This reads those literals; it does not interpret programs.

use std::collections::HashMap;

/// Source text of every class in `code/`, by qualified name.
#[derive(Debug, Default)]
pub(crate) struct Program {
    classes: HashMap<String, String>,
}

impl Program {
    /// Adds the file `code/<path>.py`.
    pub(crate) fn add_file(&mut self, path: &str, source: &str) {
        let module = path.replace('/', ".");
        // Classes stand at the left margin; everything up to the next one belongs to a class.
        let mut starts: Vec<usize> = source.match_indices("class ").map(|(at, _)| at).collect();
        starts.retain(|&at| at == 0 || source.as_bytes()[at - 1] == b'\n');
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(source.len());
            let text = &source[start..end];
            let header = &text["class ".len()..];
            if let Some(name) = header.split(['(', ':']).next() {
                self.classes
                    .insert(format!("{module}.{name}"), text.to_owned());
            }
        }
    }

    /// Arguments, as written, of the call to `operator` (e.g. `torch.leaky_relu`) in the class. A
    /// module used several times compiles to several methods; `None` when their literals differ,
    /// or when there is no call.
    pub(crate) fn call(&self, class: &str, operator: &str) -> Option<Vec<&str>> {
        let text = self.classes.get(class)?;
        let mut calls = text
            .match_indices(operator)
            .filter_map(|(at, name)| text[at + name.len()..].strip_prefix('('))
            .map(arguments);
        let first = calls.next()??;
        // The first argument is the input, whose name may differ.
        let same =
            |other: Option<Vec<&str>>| other.is_some_and(|other| other.get(1..) == first.get(1..));
        (!first.is_empty() && calls.all(same)).then_some(first)
    }
}

/// Splits `a, [b, c], d) …` at its top-level commas, up to the closing parenthesis.
fn arguments(text: &str) -> Option<Vec<&str>> {
    let mut list = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' if depth == 0 => {
                let last = text[start..at].trim();
                if !last.is_empty() {
                    list.push(last);
                }
                return Some(list);
            }
            ')' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                list.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// The numbers of a literal list such as `[1, 1]` or of a single number.
pub(crate) fn numbers(literal: &str) -> Option<Vec<f64>> {
    let inner = literal
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner
        .unwrap_or(literal)
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| item.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_a_call_are_found_in_their_class() {
        let mut program = Program::default();
        program.add_file(
            "__torch__/torch/nn/modules/x",
            "class Pool(Module):\n  def forward(self, a):\n    b = torch.max_pool2d(a, [2, 2], [2, 2], [0, 0], [1, 1])\n    return b\nclass Act(Module):\n  def forward(self, a: Tensor) -> Tensor:\n    return torch.leaky_relu_(torch.id(a), 0.25)\n",
        );
        let pool = program
            .call("__torch__.torch.nn.modules.x.Pool", "torch.max_pool2d")
            .unwrap();
        assert_eq!(pool, ["a", "[2, 2]", "[2, 2]", "[0, 0]", "[1, 1]"]);
        assert_eq!(numbers(pool[1]), Some(vec![2.0, 2.0]));
        let act = "__torch__.torch.nn.modules.x.Act";
        assert_eq!(
            program.call(act, "torch.leaky_relu_"),
            Some(vec!["torch.id(a)", "0.25"])
        );
        assert_eq!(program.call(act, "torch.leaky_relu"), None);
        assert_eq!(program.call(act, "torch.max_pool2d"), None);

        let twice = "class P(Module):\n  def forward(a):\n    return torch.elu(a, 2.)\n  def forward1(b):\n    return torch.elu(b, 2.)\n";
        program.add_file("p", twice);
        assert_eq!(program.call("p.P", "torch.elu"), Some(vec!["a", "2."]));
        program.add_file("p", &twice.replace("(b, 2.)", "(b, 3.)"));
        assert_eq!(program.call("p.P", "torch.elu"), None);
    }

    #[test]
    fn damaged_calls_give_nothing() {
        assert_eq!(arguments("a, [b"), None);
        assert_eq!(arguments("a], b)"), None);
        assert_eq!(numbers("[1, x]"), None);
        assert_eq!(arguments(")"), Some(vec![]));
    }
}
