//! Any pixels as a photograph: finding the field of view, cropping, enhancing, undoing.
#![no_main]

use vascx_inference::{Photograph, PreprocessMode, preprocess};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [width, height, size, repeats, pixels @ ..] = bytes else { return };
    let (width, height) = (1 + u32::from(*width), 1 + u32::from(*height));
    // Few bytes fill a photograph: each stands for a run of pixels.
    let run = 1 + usize::from(*repeats);
    let channel = |index: usize| pixels.get(index / 3 / run * 3 + index % 3).copied().unwrap_or(0);
    let rgb = (0..3 * (width * height) as usize).map(channel).collect();
    let photograph = Photograph::from_rgb(width, height, rgb).expect("as many bytes as announced");
    let size = 1 + usize::from(*size);
    let square = preprocess(&photograph, PreprocessMode::Full, size, true);
    let field = square.bounds.field_of_view().expect("looked for");
    assert!(field.radius().is_finite() && field.radius() > 0.0, "{field:?}");
    let map = image::GrayImage::from_pixel(size as u32, size as u32, image::Luma([1]));
    let undone = square.bounds.map_to_photograph(&map).expect("a square map");
    assert_eq!(undone.dimensions(), (width, height));
});
