//! Any bytes as an image file of any format: recognising, decoding, turning upright.
#![no_main]

use vascx_inference::{DecodeLimits, Photograph};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = DecodeLimits::default().with_max_pixels(1 << 20);
    if let Ok(photograph) = Photograph::decode(bytes.to_vec(), limits) {
        let pixels = photograph.width() * photograph.height();
        assert!(pixels > 0 && pixels <= 1 << 20);
    }
});
