//! Any bytes as a state dict of any format: reading, recognising, gathering every tensor.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vascx_convert::fuzzing::read_state_dict(bytes));
