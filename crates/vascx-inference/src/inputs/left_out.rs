//! What folders hold beside photographs.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

use serde::Serialize;

/// What was found in folders and not taken for photographs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Subfolders that were not looked into.
    pub folders: usize,
    /// Folders with the results of an earlier run.
    pub results: usize,
    /// Files that begin with a dot or belong to the operating system.
    pub hidden: usize,
    /// Links that lead nowhere.
    pub broken_links: usize,
    /// Subfolders that may not be looked into.
    pub closed_folders: usize,
    /// Pipes, sockets and devices.
    pub special: usize,
    /// Other files that are no photographs, by extension (in lower case; empty where there is none).
    pub others: BTreeMap<String, usize>,
}

impl LeftOut {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a sentence on a folder ends with; empty when nothing was left out.
    pub(crate) fn clause(&self) -> String {
        if self.is_empty() {
            String::new()
        } else {
            format!("; {self}")
        }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.folders += more.folders;
        self.results += more.results;
        self.hidden += more.hidden;
        self.broken_links += more.broken_links;
        self.closed_folders += more.closed_folders;
        self.special += more.special;
        for (extension, count) in more.others {
            *self.others.entry(extension).or_default() += count;
        }
    }

    pub(super) fn add_other(&mut self, file: &Path) {
        let extension = file.extension().unwrap_or_default();
        let extension = extension.to_string_lossy().to_lowercase();
        *self.others.entry(extension).or_default() += 1;
    }
}

/// `left out: 2 subfolders (not searched), 3 other files (2 .txt, 1 .gif)`.
impl Display for LeftOut {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        let counted = |count: usize, one: &str, many: &str| {
            (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
        };
        let others = self.others.values().sum();
        let mut kinds: Vec<_> = self.others.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mut kinds: Vec<String> = kinds
            .into_iter()
            .map(|(extension, count)| match extension.as_str() {
                "" => format!("{count} without extension"),
                extension => format!("{count} .{extension}"),
            })
            .collect();
        if kinds.len() > 6 {
            kinds.truncate(6);
            kinds.push("…".into());
        }
        let parts = [
            counted(self.folders, "subfolder", "subfolders").map(|text| text + " (not searched)"),
            counted(self.results, "folder of results", "folders of results"),
            counted(self.hidden, "hidden file", "hidden files"),
            counted(self.broken_links, "broken link", "broken links"),
            counted(
                self.closed_folders,
                "folder that may not be opened",
                "folders that may not be opened",
            ),
            counted(self.special, "pipe or device", "pipes or devices"),
            counted(others, "other file", "other files")
                .map(|text| format!("{text} ({})", kinds.join(", "))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        write!(formatter, "left out: {}", parts.join(", "))
    }
}
