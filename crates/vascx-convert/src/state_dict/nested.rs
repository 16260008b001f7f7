//! Finding the state dict in a pickled object: it may lie below training state of all kinds.

use super::Tensors;
use crate::error::{Error, Result};
use crate::pickle::{Id, Pickle, Value};

/// Depth no checkpoint reaches; ends self-referencing dictionaries.
const MAX_DEPTH: usize = 16;
/// Values no checkpoint has; ends dictionaries that multiply by sharing.
const MAX_VISITED: usize = 1_000_000;

/// Keys under which trainers keep the weights, most telling first.
const WRAPPERS: [&str; 12] = [
    "state_dict",
    "model_state_dict",
    "net_state_dict",
    "network_state_dict",
    "model_state",
    "network_weights",
    "model",
    "net",
    "network",
    "models",
    "members",
    "weights",
];

/// The tensors of the state dict in a pickle, by dotted name.
pub(super) fn tensors(pickle: &Pickle, notes: &mut Vec<String>) -> Result<Tensors> {
    let mut path = String::new();
    let mut place = pickle.root();
    for _ in 0..MAX_DEPTH {
        let Value::Dict(items) = pickle.get(place) else {
            break;
        };
        let holds_tensors = items
            .iter()
            .any(|&(_, value)| matches!(pickle.get(value), Value::Tensor(_)));
        let wrapped = WRAPPERS.iter().find_map(|&wrapper| {
            let item = items.iter().find(|&&(key, value)| {
                is_text(pickle, key, wrapper)
                    && matches!(pickle.get(value), Value::Dict(_) | Value::List(_))
            })?;
            Some((wrapper, item.1))
        });
        match wrapped {
            Some((wrapper, inner)) if !holds_tensors => {
                let beside = items.iter().filter_map(|&(key, _)| match pickle.get(key) {
                    Value::Str(name) if &**name != wrapper => Some(&**name),
                    _ => None,
                });
                let beside: Vec<&str> = beside.take(12).collect();
                path.push_str(wrapper);
                notes.push(if beside.is_empty() {
                    format!("weights taken from `{path}`")
                } else {
                    format!(
                        "weights taken from `{path}`; left out: {}",
                        beside.join(", ")
                    )
                });
                path.push('.');
                // Numbered state dicts are the members of an ensemble; names say so.
                if matches!(wrapper, "models" | "members") {
                    return flattened(pickle, inner, wrapper);
                }
                place = inner;
            }
            _ => break,
        }
    }
    flattened(pickle, place, "")
}

fn is_text(pickle: &Pickle, id: Id, text: &str) -> bool {
    matches!(pickle.get(id), Value::Str(key) if &**key == text)
}

fn flattened(pickle: &Pickle, place: Id, prefix: &str) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    let mut visited = 0;
    flatten(pickle, place, prefix, 0, &mut visited, &mut tensors)?;
    if tensors.is_empty() {
        return Err(Error::Foreign {
            expected: "state dict",
            reason: "it holds no named tensors; save it with torch.save(model.state_dict(), …)"
                .into(),
        });
    }
    Ok(tensors)
}

/// Collects the tensors below `id`. What is no tensor, dictionary or list carries no weights.
fn flatten(
    pickle: &Pickle,
    id: Id,
    path: &str,
    depth: usize,
    visited: &mut usize,
    tensors: &mut Tensors,
) -> Result<()> {
    *visited += 1;
    if depth > MAX_DEPTH || *visited > MAX_VISITED {
        let reason = format!("`{path}`: dictionaries nest too deeply or repeat too often");
        return Err(Error::entry("state dict", reason));
    }
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match pickle.get(id) {
        Value::Tensor(tensor) => {
            let tensor = (**tensor).clone();
            if tensors.insert(path.to_owned(), tensor).is_some() {
                return Err(Error::tensor(path, "is there twice"));
            }
        }
        Value::Dict(items) => {
            for &(key, value) in items {
                let name = match pickle.get(key) {
                    Value::Str(name) => below(name),
                    Value::Int(index) => below(&index.to_string()),
                    _ => continue,
                };
                flatten(pickle, value, &name, depth + 1, visited, tensors)?;
            }
        }
        Value::List(items) => {
            for (index, &item) in items.iter().enumerate() {
                let name = below(&index.to_string());
                flatten(pickle, item, &name, depth + 1, visited, tensors)?;
            }
        }
        _ => {}
    }
    Ok(())
}
