//! Importing ONNX files.
//!
//! The file is decoded by a reader of our own ([`wire`], [`message`]): it borrows from the file's
//! bytes, does not recurse and checks every size, which generated decoders do not promise. The
//! graph is then run through once ([`importer`], [`lower`]) to become a graph of this project.

mod import;
mod importer;
mod lower;
mod message;
mod stored;
mod wire;

#[cfg(feature = "fuzzing")]
pub(crate) use import::import_bytes;
pub(crate) use import::{import, is_onnx};
