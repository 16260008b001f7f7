//! Any bytes as program text: parsing, and importing them as the program of a small network.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vascx_convert::fuzzing::import_program(bytes));
