//! What a file is that is no checkpoint, in words that tell what to do.

/// Bytes of the beginning that tell.
pub(crate) const START: u64 = 512;

/// What files that begin like this are, where that is known.
pub(crate) fn file(start: &[u8]) -> &'static str {
    // Pages in any encoding, cut anywhere.
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower: String = text.chars().take(64).collect::<String>().to_lowercase();
    if start.is_empty() {
        return "it is empty; copy or download it again";
    }
    let pages = ["<!doctype html", "<html", "<head", "<?xml"];
    if pages.iter().any(|page| lower.starts_with(page)) {
        return "it is a web page, not the file that the page offers; download it again by the \
                address of the file itself (on the Hugging Face hub: `resolve`, not `blob`)";
    }
    if text.starts_with("version https://git-lfs") {
        return "it is a Git LFS pointer, which stands for the file; fetch the file itself with \
                `git lfs pull`";
    }
    let begins = |magic: &[u8]| start.starts_with(magic);
    if begins(b"\x89HDF\r\n\x1a\n") {
        return "it is an HDF5 file, as Keras writes; export the network to ONNX";
    }
    if begins(b"\xff\xd8\xff")
        || begins(b"\x89PNG\r\n\x1a\n")
        || begins(b"II*\0")
        || begins(b"MM\0*")
        || begins(b"BM")
        || begins(b"GIF8")
        || (begins(b"RIFF") && start.get(8..12) == Some(b"WEBP"))
        || start.get(128..132) == Some(b"DICM")
    {
        return "it is a photograph; give the model here, photographs as inputs";
    }
    if begins(b"\x1f\x8b")
        || begins(b"BZh")
        || begins(b"\xfd7zXZ")
        || begins(b"7z\xbc\xaf")
        || begins(b"Rar!")
    {
        return "it is compressed; unpack it first";
    }
    if start.get(257..262) == Some(b"ustar") {
        return "it is a tar archive; unpack it first, or, where torch.save of before 2018 wrote \
                it, load and save it again with PyTorch";
    }
    if start.get(4..8) == Some(b"TFL3") {
        return "it is a TensorFlow Lite file; export the network to ONNX";
    }
    if begins(b"\x93NUMPY") {
        return "it is a NumPy array; save the weights with torch.save or safetensors";
    }
    if begins(b"\x80") {
        return "it is a pickle that torch.save did not write; save the weights with \
                torch.save(model.state_dict(), …)";
    }
    "it begins like none of them"
}

/// What a ZIP archive without a `data.pkl` is, by the names of its entries.
pub(crate) fn archive<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    let any = |test: &dyn Fn(&str) -> bool| names.clone().any(test);
    if any(&|name| {
        name.ends_with("serialized_exported_program.json")
            || name.ends_with("archive_format")
            || name.ends_with("models/model.json")
    }) {
        return Some(
            "it is a `.pt2` archive of torch.export, whose program is not read; save the network \
             with torch.jit.trace(model, example).save(…) or torch.onnx.export",
        );
    }
    if any(&|name| name == "model.weights.h5" || name == "keras_metadata.pb") {
        return Some("it is a Keras model; export the network to ONNX");
    }
    #[allow(clippy::case_sensitive_file_extension_comparisons)] // As NumPy writes it.
    if any(&|name| name.ends_with(".npy")) {
        return Some(
            "it holds NumPy arrays (.npz); save the weights with torch.save or safetensors",
        );
    }
    let ends = [".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".pth.tar"];
    let checkpoint = |name: &str| ends.iter().any(|end| name.ends_with(end));
    any(&checkpoint).then_some("it is a ZIP file that holds checkpoints; unpack it first")
}
