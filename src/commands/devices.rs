//! `vascx devices`: what this build and machine offer.

use vascx::inference::Device;

use super::{Done, Result};

pub(crate) fn run() -> Result {
    for (device, availability) in Device::survey() {
        println!("{device:<8} {availability}");
    }
    Ok(Done::All)
}
