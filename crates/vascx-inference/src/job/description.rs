//! What decides the outputs of a job, and in what two jobs differ.

use std::collections::BTreeSet;

use serde_json::Value;

/// Letters of a SHA-256.
const HASH: usize = 64;

/// In what a run's description differs from an earlier one's, such as `tta: off → on`. Hashes are named
/// only where they are all that differs.
pub(super) fn differences(before: &Value, now: &Value) -> String {
    let mut found = Vec::new();
    compare("", before, now, &mut found);
    let (hashes, plain): (Vec<_>, Vec<_>) = found.into_iter().partition(|(hash, _)| *hash);
    let named = if plain.is_empty() { hashes } else { plain };
    let named: Vec<String> = named.into_iter().map(|(_, words)| words).collect();
    named.join(", ")
}

/// Adds every difference, and whether it is one of hashes.
fn compare(name: &str, before: &Value, now: &Value, found: &mut Vec<(bool, String)>) {
    if before == now {
        return;
    }
    if let (Value::Object(a), Value::Object(b)) = (before, now) {
        let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for key in keys {
            let name = if name.is_empty() {
                key.clone()
            } else {
                format!("{name}.{key}")
            };
            let value = |object: &serde_json::Map<String, Value>| {
                object.get(key).cloned().unwrap_or(Value::Null)
            };
            compare(&name, &value(a), &value(b), found);
        }
        return;
    }
    let is_hash = |value: &Value| value.as_str().is_some_and(|text| text.len() == HASH);
    let hashes = is_hash(before) && is_hash(now);
    let either_is = |value: Value| *before == value || *now == value;
    let (name, [before, now]) = if name == "tta_flips" && either_is(Value::Array(Vec::new())) {
        let switch = |flips: &Value| match flips {
            Value::Array(flips) if flips.is_empty() => "off".to_owned(),
            _ => "on".to_owned(),
        };
        ("tta", [before, now].map(switch))
    } else {
        (name, [before, now].map(in_words))
    };
    found.push((hashes, format!("{name}: {before} → {now}")));
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::Bool(true) => "on".into(),
        Value::Bool(false) => "off".into(),
        // Of a hash, enough to tell two apart.
        Value::String(text) if text.len() == HASH => {
            format!("{}…", &text[..text.floor_char_boundary(12)])
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_in_words() {
        let before = json!({
            "tta_flips": [], "model": {"file": "disc.pt", "sha256": "a"}, "overlay": false,
            "window": [512, 512], "device": "cpu"
        });
        let now = json!({
            "tta_flips": [[2]], "model": {"file": "fovea.pt", "sha256": "a"}, "overlay": true,
            "window": [512, 256], "device": "cpu", "build": "b"
        });
        assert_eq!(
            differences(&before, &now),
            "build: none → b, model.file: disc.pt → fovea.pt, overlay: off → on, tta: off → on, \
             window: [512,512] → [512,256]"
        );
    }

    #[test]
    fn hashes_are_named_where_nothing_else_differs() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let before = json!({"file": "disc.pt", "sha256": a});
        assert_eq!(
            differences(&before, &json!({"file": "disc.pt", "sha256": b})),
            "sha256: aaaaaaaaaaaa… → bbbbbbbbbbbb…"
        );
        assert_eq!(
            differences(&before, &json!({"file": "fovea.pt", "sha256": b})),
            "file: disc.pt → fovea.pt"
        );
    }
}
