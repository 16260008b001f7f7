//! Drives the real executable in a fresh folder; on failure prints command, folder and output.
#![allow(dead_code)] // Every test binary uses a part.

pub(crate) mod bombs;
pub(crate) mod prediction;
pub(crate) mod release;
pub(crate) mod small_job;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;

/// The device that tests run on: the CPU through Flex, unless `VASCX_TEST_DEVICE` is `ndarray`.
pub(crate) static DEVICE: LazyLock<&str> =
    LazyLock::new(|| match std::env::var("VASCX_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => "cpu",
        Ok("ndarray") => "ndarray",
        Ok(other) => panic!("VASCX_TEST_DEVICE is cpu or ndarray, not {other}"),
    });

/// A fixture below `tests/fixtures`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

/// A fresh folder in which commands run.
pub(crate) struct Workspace {
    folder: TempDir,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Names in a folder, sorted; empty when there is none.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    /// Runs `vascx` and checks its exit code.
    pub(crate) fn vascx(&self, expected_code: i32, arguments: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
        command.args(arguments);
        self.run(expected_code, command)
    }

    /// The same with variables of the environment that are paths.
    pub(crate) fn vascx_with(
        &self,
        expected_code: i32,
        arguments: &[&str],
        variables: &[(&str, impl AsRef<Path>)],
    ) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
        command.args(arguments);
        for (name, path) in variables {
            command.env(name, path.as_ref());
        }
        self.run(expected_code, command)
    }

    /// The same with at most 1 GiB of address space, where the platform can limit it.
    pub(crate) fn vascx_in_one_gibibyte(&self, expected_code: i32, arguments: &[&str]) -> Run {
        if !cfg!(unix) {
            return self.vascx(expected_code, arguments);
        }
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 1048576 && exec \"$0\" \"$@\""]);
        command.arg(env!("CARGO_BIN_EXE_vascx")).args(arguments);
        self.run(expected_code, command)
    }

    fn run(&self, expected_code: i32, mut command: Command) -> Run {
        command.current_dir(self.folder.path());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let run = Run {
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        };
        assert_eq!(
            status.code(),
            Some(expected_code),
            "{command:?}\nin {}\nstdout:\n{}\nstderr:\n{}",
            self.folder.path().display(),
            run.stdout,
            run.stderr
        );
        run
    }
}

/// What a command printed.
#[derive(Debug)]
pub(crate) struct Run {
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Fails unless the error message holds all of `parts`.
    pub(crate) fn error_names(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "`{part}` is not in:\n{}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}
