//! `vascx devices`: what this build and machine offer.

use vascx::inference::Device;

pub(crate) fn run() {
    for (device, availability) in Device::survey() {
        // Padding works on text only.
        println!("{:<8} {availability}", device.to_string());
    }
}
