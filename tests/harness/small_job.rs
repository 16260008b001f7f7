//! A small job, whose results are compared with those of an undisturbed run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{DEVICE, Workspace, fixture};

/// Whether faults can be injected and system calls recorded.
pub(crate) fn has_strace() -> bool {
    let works = Command::new("strace")
        .args([
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "inject=fsync:error=EIO",
            "true",
        ])
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: strace is absent or may not trace");
    }
    works
}

/// The calls in the output of `strace -f`, a line each, in the order in which they returned.
pub(crate) fn traced_calls(trace: &str) -> Vec<String> {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (process, rest) = line.trim_start().split_once(' ').unwrap();
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(process, start);
        } else if rest.starts_with("<...") {
            let end = rest.split_once("resumed>").unwrap().1;
            calls.push(begun.remove(process).unwrap_or_default().to_owned() + end);
        } else {
            calls.push(rest.to_owned());
        }
    }
    calls
}

/// A model of little work.
pub(crate) fn model() -> String {
    let path = fixture("models/unet_instance_bilinear_m2.pt");
    path.to_str().unwrap().to_owned()
}

/// Photographs of different sizes in `photos`.
pub(crate) fn photographs(workspace: &Workspace, count: u32) {
    fs::create_dir(workspace.path("photos")).unwrap();
    for index in 0..count {
        let image = image::RgbImage::from_fn(30, 20 + index, |x, y| {
            image::Rgb([(x * 5) as u8, (y * 7) as u8, (x * y + 11 * index) as u8])
        });
        image
            .save(workspace.path(&format!("photos/p{index}.png")))
            .unwrap();
    }
}

/// Of a job that writes a map and a drawing of each, two photographs at a time.
pub(crate) fn arguments<'a>(model: &'a str, out: &'a str, resume: bool) -> Vec<&'a str> {
    let mut arguments = vec![
        "predict",
        "--quiet",
        "--device",
        *DEVICE,
        "--batch-size",
        "2",
        "--overlay",
        "--model",
        model,
        "--out",
        out,
        "--threads",
        "1",
    ];
    if resume {
        arguments.push("--resume");
    }
    arguments.push("photos");
    arguments
}

/// Files below a folder by their names, without what times stand in.
pub(crate) fn results(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            let bytes = match name {
                "journal.jsonl" | "run.json" => Vec::new(),
                "manifest.csv" => {
                    let text = fs::read_to_string(&path).unwrap();
                    let rows = text.lines().map(|row| {
                        let mut cells: Vec<&str> = row.split(',').collect();
                        cells.remove(4);
                        cells.join(",") + "\n"
                    });
                    rows.collect::<String>().into_bytes()
                }
                _ => fs::read(&path).unwrap(),
            };
            found.insert(name.to_owned(), bytes);
        }
    }
    found
}

/// Whatever is under the name of a result is the whole of it.
pub(crate) fn check_whole(folder: &Path, expected: &BTreeMap<String, Vec<u8>>, context: &str) {
    if !folder.exists() {
        return;
    }
    for (name, bytes) in results(folder) {
        if Path::new(&name)
            .extension()
            .is_some_and(|kind| kind == "png")
        {
            assert!(expected[&name] == bytes, "{context}: {name} is torn");
        }
    }
}

/// Whatever an undisturbed run leaves is there, and nothing else.
pub(crate) fn check_same(folder: &Path, expected: &BTreeMap<String, Vec<u8>>, context: &str) {
    let found = results(folder);
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(expected), "{context}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{context}: {name} differs");
    }
}
