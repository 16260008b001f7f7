//! Files given as a model that are none: what they are called, and what there is to do.

mod harness;

use std::io::{Cursor, Write};

use harness::Workspace;
use harness::release::{release, with_program};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn archive(entries: &[&str]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for name in entries {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(b"{}").unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_is_no_model_is_named_with_the_remedy() {
    let whole = release();
    let cut = whole[..whole.len() / 2].to_vec();
    for (content, parts) in [
        (Vec::new(), &["it is empty", "again"][..]),
        (
            b"\n<!DOCTYPE html><html>".to_vec(),
            &["web page", "resolve"],
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid".to_vec(),
            &["Git LFS pointer", "git lfs pull"],
        ),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0".to_vec(), &["HDF5", "ONNX"]),
        (b"\x89PNG\r\n\x1a\n\0\0".to_vec(), &["photograph", "inputs"]),
        (b"\x1f\x8b\x08\0".to_vec(), &["compressed", "unpack"]),
        (cut, &["cut", "again"]),
        (
            archive(&["x/serialized_exported_program.json"]),
            &[".pt2", "torch.jit.trace", "onnx"],
        ),
        (
            archive(&["disc/disc_july24.pt"]),
            &["holds checkpoints", "unpack"],
        ),
    ] {
        let workspace = Workspace::new();
        std::fs::write(workspace.path("model.pt"), content).unwrap();
        std::fs::write(workspace.path("a.png"), "").unwrap();
        for arguments in [
            &["predict", "--model", "model.pt", "--out", "out", "a.png"][..],
            &["convert", "model.pt", "--out", "out"],
            &["inspect", "model.pt"],
        ] {
            workspace
                .vascx(2, arguments)
                .error_names(&["model.pt"])
                .error_names(parts);
            assert_eq!(workspace.list("."), ["a.png", "model.pt"]);
        }
    }
}

#[test]
fn a_network_whose_answer_depends_on_its_batch_says_why_it_is_refused() {
    let norm =
        "torch.batch_norm(x, None, None, None, None, True, 0.10000000000000001, 1.0e-05, True)";
    let workspace = Workspace::new();
    let body = format!("    return {norm}");
    std::fs::write(workspace.path("model.pt"), with_program(&body, "")).unwrap();
    workspace
        .vascx(2, &["convert", "model.pt", "--out", "out"])
        .error_names(&["model.pt", "batch", "model.eval()"]);
}
