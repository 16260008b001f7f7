//! Any bytes as `data.pkl`: no panic, no endless loop, no unbounded memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vascx_convert::fuzzing::unpickle(bytes));
