//! A release with other entries than PyTorch wrote.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::fixture;

pub(crate) fn release() -> Vec<u8> {
    std::fs::read(fixture("models/unet_m1.pt")).unwrap()
}

/// The fixture release with its entries changed: `change` sees name and content of each and may
/// replace both; `None` leaves an entry out. Contents are deflated when `deflate` is set.
pub(crate) fn rewritten(
    deflate: bool,
    mut change: impl FnMut(&str, Vec<u8>) -> Option<(String, Vec<u8>)>,
) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(release())).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let method = if deflate {
        CompressionMethod::Deflated
    } else {
        CompressionMethod::Stored
    };
    let options = SimpleFileOptions::default().compression_method(method);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some((name, content)) = change(&name, content) {
            writer.start_file(name, options).unwrap();
            writer.write_all(&content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// The fixture release with the body of its first `forward` replaced; `extra` follows as a method.
pub(crate) fn with_program(body: &str, extra: &str) -> Vec<u8> {
    let program = format!(
        "class Ensemble(Module):\n  def forward(self, x: Tensor) -> Tensor:\n{body}\n{extra}\n"
    );
    rewritten(false, |name, content| {
        let root = name.ends_with("code/__torch__/reference/networks.py");
        let content = if root {
            program.clone().into()
        } else {
            content
        };
        Some((name.to_owned(), content))
    })
}
