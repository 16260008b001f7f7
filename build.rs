//! Names the commit that the program is built from, where it is built in a clone of the repository.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let build = commit().unwrap_or_default();
    println!("cargo:rustc-env=VASCX_BUILD={build}");
}

fn commit() -> Option<String> {
    // Of this repository, not of one that happens to be around an unpacked package.
    if !std::path::Path::new(".git").exists() {
        return None;
    }
    let reference = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in std::iter::once("HEAD".to_owned()).chain(reference) {
        let path = git(&["rev-parse", "--git-path", &name])?;
        println!("cargo:rerun-if-changed={path}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
