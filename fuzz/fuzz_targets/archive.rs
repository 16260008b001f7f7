//! Any bytes as a checkpoint: reading, recognising, gathering every tensor.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vascx_convert::fuzzing::read_archive(bytes));
