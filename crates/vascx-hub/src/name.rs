//! Names of files on the hub.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A file of a repository: `owner/repository:path`, with `hf@` in front or not, and perhaps
/// `@revision` behind the repository (a branch, tag or commit; `main` where none is given).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubName {
    repository: String,
    revision: String,
    path: String,
}

impl HubName {
    /// `owner/repository`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The file within the repository, with slashes.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether a command-line argument is meant as a hub name rather than as a path: it has a form
    /// that [`FromStr`] accepts and is not the path of anything that exists.
    pub fn is_meant_by(argument: &str) -> bool {
        argument.parse::<Self>().is_ok() && !std::path::Path::new(argument).exists()
    }
}

/// Letters, digits, dots, dashes and underscores, and no dots alone.
fn is_plain(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !part.is_empty() && part.chars().all(plain) && !part.chars().all(|c| c == '.')
}

impl FromStr for HubName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let wrong = |reason| Error::Name {
            name: name.into(),
            reason,
        };
        let rest = name.strip_prefix("hf@").unwrap_or(name);
        let (repository, path) = rest
            .split_once(':')
            .ok_or_else(|| wrong("there is no colon"))?;
        let (repository, revision) = repository.split_once('@').unwrap_or((repository, "main"));
        let parts: Vec<_> = repository.split('/').collect();
        // A single letter before the colon is a drive.
        if parts.len() != 2 || !parts.iter().all(|part| is_plain(part)) {
            return Err(wrong("the repository is not owner/repository"));
        }
        if !revision.split('/').all(is_plain) {
            return Err(wrong("the revision has other characters than names have"));
        }
        let inside = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '?', '#', '%'])
        };
        if !path.split('/').all(inside) || path.chars().any(char::is_control) {
            return Err(wrong("the path is not one within the repository"));
        }
        Ok(Self {
            repository: repository.into(),
            revision: revision.into(),
            path: path.into(),
        })
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if self.revision != "main" {
            write!(f, "@{}", self.revision)?;
        }
        write!(f, ":{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_three_parts() {
        let name: HubName = "hf@Eyened/vascx:fovea/fovea_may26.pt".parse().unwrap();
        assert_eq!(name.repository(), "Eyened/vascx");
        assert_eq!(name.revision(), "main");
        assert_eq!(name.path(), "fovea/fovea_may26.pt");
        assert_eq!(name.to_string(), "Eyened/vascx:fovea/fovea_may26.pt");
        let tagged: HubName = "a/b@v1.0:c.pt".parse().unwrap();
        assert_eq!(tagged.revision(), "v1.0");
        assert_eq!(tagged.to_string(), "a/b@v1.0:c.pt");
    }

    #[test]
    fn other_strings_are_refused() {
        for name in [
            "",
            "model.pt",
            "C:/models/model.pt",
            "a/b/c:d.pt",
            "a/b:",
            "a/b:/etc/passwd",
            "a/b:../../c",
            "a/b:c//d",
            "a/..:c",
            "a/b@../x:c",
            "a/b:c?d",
            "a/b:c\\d",
            "a b/c:d",
        ] {
            assert!(name.parse::<HubName>().is_err(), "{name}");
        }
    }
}
