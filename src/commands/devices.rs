//! `vascx devices`: what this build and machine offer.

use vascx::inference::Device;

use super::{Done, Result, print};

pub(crate) fn run() -> Result {
    for (device, availability) in Device::survey() {
        // Padding works on text only.
        print(format_args!("{:<8} {availability}", device.to_string()))?;
    }
    Ok(Done::All)
}
