//! Ids, which name output files on any file system.

use std::collections::HashMap;
#[cfg(unix)]
use std::ffi::OsString;
#[cfg(unix)]
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::Input;
use crate::error::{Error, Result};

/// The id of a file: what of its path is to name it, `/` as `__`. Bytes that are no UTF-8 and control
/// characters are written as in a URI.
pub(super) fn of_path(path: &Path) -> String {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        // The root, drives, and steps that lead nowhere or up.
        _ => None,
    });
    let parts = names.map(|name| match name.to_str() {
        Some(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => percent_encoded(name.as_encoded_bytes()),
    });
    parts.collect::<Vec<_>>().join("__")
}

/// Bytes as a URI has them: what is no ASCII letter, digit, `/`, `-`, `.`, `_` or `~` as `%` and two
/// hexadecimal digits.
pub(crate) fn percent_encoded(bytes: &[u8]) -> String {
    let encoded = bytes.iter().map(|&byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    encoded.collect()
}

/// The path that [`percent_encoded`] wrote.
pub(super) fn percent_decoded(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%');
        let code = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    path_of(bytes)
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    let name: OsString = OsStringExt::from_vec(bytes);
    name.into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Why an id cannot name a file somewhere; none when it can.
pub(crate) fn problem(id: &str) -> Option<String> {
    const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];
    let stem = id.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_lowercase();
    let port = |name: &str| {
        stem.strip_prefix(name)
            .is_some_and(|rest| rest.len() == 1 && rest.contains(|c: char| c.is_ascii_digit()))
    };
    if id.is_empty() || id.starts_with('.') || id.contains(['/', '\\']) {
        Some("cannot name a file".into())
    } else if id.contains(char::is_control) {
        Some("holds a control character".into())
    } else if RESERVED.contains(&stem.as_str()) || port("com") || port("lpt") {
        Some("is a device on Windows and cannot name a file there".into())
    } else {
        None
    }
}

/// Checks that every id names a file of its own.
pub(super) fn check(inputs: &[Input]) -> Result<()> {
    let mut seen: HashMap<String, &Input> = HashMap::new();
    for input in inputs {
        if let Some(problem) = problem(&input.id) {
            return Err(Error::Id {
                id: input.id.clone(),
                path: input.path.clone(),
                problem,
            });
        }
        // File systems of Windows and macOS tell neither case nor composed letters apart.
        let key = input.id.nfc().flat_map(char::to_lowercase).nfc().collect();
        let Some(first) = seen.insert(key, input) else {
            continue;
        };
        let (first_id, id) = (first.id.clone(), input.id.clone());
        let (first, second) = (first.path.clone(), input.path.clone());
        return Err(if first_id == id {
            Error::DuplicateId { id, first, second }
        } else {
            Error::TwinIds {
                ids: [first_id, id],
                first,
                second,
            }
        });
    }
    Ok(())
}
