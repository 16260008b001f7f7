//! Entry points for `cargo fuzz`, see `fuzz/`.
#![allow(missing_docs)]

use std::io::Cursor;

use crate::checkpoint::place_state_dict;
use crate::module_tree::ScriptModule;
use crate::onnx;
use crate::pickle;
use crate::release::Release;
use crate::state_dict::{Choice, StateDict};
use crate::torchscript::{import, import_source};

/// The unpickler and the module tree built from it.
pub fn unpickle(bytes: &[u8]) {
    let _ = pickle::parse("data.pkl", bytes, pickle::Unknown::Opaque);
    if let Ok(pickle) = pickle::parse("data.pkl", bytes, pickle::Unknown::Refused)
        && let Ok(root) = ScriptModule::from_pickle(&pickle)
    {
        let _ = root.outline(3, 40);
    }
}

/// The archive reader, and import and tensor reading behind it.
pub fn read_archive(bytes: &[u8]) {
    let Ok(mut release) = Release::read(Cursor::new(bytes)) else {
        return;
    };
    let root = release.root.clone();
    let _ = import(&mut release);
    root.for_each_tensor(&mut |path, tensor| {
        let _ = release.tensor(path, tensor);
    });
}

/// The message decoder and the graph builder behind it; values in other files are not read.
pub fn import_onnx(bytes: &[u8]) {
    let _ = onnx::import_bytes(bytes, None);
}

/// The parser and the graph builder: the text becomes the only method of a module without weights.
pub fn import_program(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let body = text.replace('\n', "\n    ");
        let source =
            format!("class Net(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    {body}\n");
        import_source(&source);
    }
}

/// Any of the formats of state dicts: reading, recognising, gathering every tensor.
pub fn read_state_dict(bytes: &[u8]) {
    if let Ok(mut dict) = StateDict::read(Cursor::new(bytes), Choice::default()) {
        let _ = place_state_dict(&mut dict, None);
        let members: Vec<Vec<String>> = dict
            .members
            .iter()
            .map(|tensors| tensors.keys().cloned().collect())
            .collect();
        for (member, names) in members.iter().enumerate() {
            for name in names {
                let _ = dict.tensor(member, name);
            }
        }
    }
}
