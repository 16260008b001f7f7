//! Where the hub is and where its files are kept, as the environment says.

use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// The hub and its cache on this machine.
#[derive(Clone)]
#[non_exhaustive]
pub struct Hub {
    /// `https://huggingface.co`, or a mirror.
    pub endpoint: String,
    /// The folder with `models--owner--repository` folders.
    pub cache: PathBuf,
    /// Sent to the endpoint, and to no other host.
    pub token: Option<String>,
    /// Whether to use the cache only.
    pub offline: bool,
}

/// Does not show the token.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .finish()
    }
}

impl Hub {
    /// The public hub with a cache of one's own, no token, downloads allowed.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: "https://huggingface.co".into(),
            cache: cache.into(),
            token: None,
            offline: false,
        }
    }

    /// What the environment variables of `huggingface_hub` say.
    ///
    /// # Errors
    /// When there is no home folder and none of the variables names one, or the endpoint is no
    /// address.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let user = set("HOME").or_else(|| set("USERPROFILE"));
        let expand = |path: String| match (path.strip_prefix("~/"), &user) {
            (Some(rest), Some(user)) => PathBuf::from(user).join(rest),
            _ => PathBuf::from(path),
        };
        let cached = set("XDG_CACHE_HOME").unwrap_or_else(|| "~/.cache".into());
        let home = set("HF_HOME").map_or_else(|| expand(cached).join("huggingface"), expand);
        let cache = set("HF_HUB_CACHE")
            .or_else(|| set("HUGGINGFACE_HUB_CACHE"))
            .map_or_else(|| home.join("hub"), expand);
        if cache.starts_with("~") {
            return Err(Error::Setting {
                variable: "HF_HOME",
                reason: "there is no home folder for the cache; set this variable to a folder"
                    .into(),
            });
        }
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Error::Setting {
                variable: "HF_ENDPOINT",
                reason: format!("{endpoint:?} does not begin with https://"),
            });
        }
        let kept = set("HF_TOKEN_PATH").map_or_else(|| home.join("token"), expand);
        let kept = || fs::read_to_string(kept).ok();
        let token = set("HF_TOKEN")
            .or_else(|| set("HUGGING_FACE_HUB_TOKEN"))
            .or_else(kept)
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty());
        let offline = set("HF_HUB_OFFLINE").or_else(|| set("TRANSFORMERS_OFFLINE"));
        let yes = |value: String| matches!(&*value.to_uppercase(), "1" | "ON" | "YES" | "TRUE");
        Ok(Self {
            endpoint,
            cache,
            token,
            offline: offline.is_some_and(yes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub> {
        Hub::from_variables(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn folders_follow_the_variables() {
        let cache = |variables: &[_]| hub(variables).unwrap().cache;
        let home = ("HOME", "/home/a");
        assert_eq!(
            cache(&[home]),
            PathBuf::from("/home/a/.cache/huggingface/hub")
        );
        assert_eq!(
            cache(&[home, ("XDG_CACHE_HOME", "/c")]),
            PathBuf::from("/c/huggingface/hub")
        );
        assert_eq!(
            cache(&[home, ("HF_HOME", "~/hf")]),
            PathBuf::from("/home/a/hf/hub")
        );
        assert_eq!(
            cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/models")]),
            PathBuf::from("/models")
        );
        assert!(hub(&[]).is_err());
    }

    #[test]
    fn other_settings_follow_the_variables() {
        let hub = |name, value| hub(&[("HF_HOME", "/nowhere"), (name, value)]);
        assert!(hub("HF_HUB_OFFLINE", "1").unwrap().offline);
        assert!(!hub("HF_HUB_OFFLINE", "0").unwrap().offline);
        let mirror = hub("HF_ENDPOINT", "http://localhost:1/").unwrap();
        assert_eq!(mirror.endpoint, "http://localhost:1");
        assert!(hub("HF_ENDPOINT", "mirror").is_err());
        let secret = hub("HF_TOKEN", " hf_x\n").unwrap();
        assert_eq!(secret.token.as_deref(), Some("hf_x"));
        assert!(!format!("{secret:?}").contains("hf_x"));
    }
}
