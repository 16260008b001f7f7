//! Hashes as text.

/// A hash as it is written in `model.json`: two lower-case digits a byte.
pub fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
