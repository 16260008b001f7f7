//! Vector instructions of the CPU kernels.

use vascx_kernels::InstructionSet;

/// Checks that this machine has the vector instructions that `VASCX_INSTRUCTION_SET` asks for, if it
/// does; the kernels take the best that there are when it has not.
///
/// # Errors
/// A sentence that names those that this machine has.
pub fn check_instruction_set() -> Result<(), String> {
    let Some(asked) = std::env::var_os("VASCX_INSTRUCTION_SET") else {
        return Ok(());
    };
    let available = InstructionSet::available();
    let names: Vec<_> = available.iter().map(|set| set.name()).collect();
    if names.iter().any(|name| asked == **name) {
        return Ok(());
    }
    Err(format!(
        "VASCX_INSTRUCTION_SET is `{}`, but this machine has: {}",
        asked.display(),
        names.join(", ")
    ))
}

/// Name of the vector instructions that the CPU kernels use here, on which the last bits of answers
/// may depend.
pub fn instruction_set() -> &'static str {
    InstructionSet::current().name()
}
