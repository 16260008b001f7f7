//! Any bytes as an ONNX file: decoding, and importing its graph.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vascx_convert::fuzzing::import_onnx(bytes));
