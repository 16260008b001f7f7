//! Requests to the hub: redirects followed by hand, so that the token stays with the endpoint.

use std::env;
use std::fs;
use std::time::Duration;

use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::error::{Error, Result};
use crate::settings::Hub;

/// Redirects in a row.
const MOST_REDIRECTS: usize = 5;
/// Time to find and reach a host, and to wait for it without a byte.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the hub.
pub(crate) struct Client<'a> {
    agent: Agent,
    hub: &'a Hub,
}

/// Whether redirects to other hosts are followed, or answered with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    WithinHost,
    All,
}

impl<'a> Client<'a> {
    pub(crate) fn new(hub: &'a Hub) -> Result<Self> {
        let tls = TlsConfig::builder().root_certs(authorities()?).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .user_agent(concat!("vascx/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.into(),
            hub,
        })
    }

    /// The headers of a file.
    pub(crate) fn head(&self, url: &str, redirects: Redirects) -> Result<Response<Body>> {
        self.follow(url, redirects, |url, token| {
            let request = self.agent.head(url).header("accept-encoding", "identity");
            match token {
                Some(token) => request.header("authorization", token).call(),
                None => request.call(),
            }
        })
    }

    /// A file from a byte on.
    pub(crate) fn get(&self, url: &str, from: u64) -> Result<Response<Body>> {
        self.follow(url, Redirects::All, |url, token| {
            let mut request = self.agent.get(url).header("accept-encoding", "identity");
            if from > 0 {
                request = request.header("range", format!("bytes={from}-"));
            }
            match token {
                Some(token) => request.header("authorization", token).call(),
                None => request.call(),
            }
        })
    }

    fn follow(
        &self,
        url: &str,
        redirects: Redirects,
        mut call: impl FnMut(&str, Option<&str>) -> std::result::Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>> {
        let bearer = self
            .hub
            .token
            .as_ref()
            .map(|token| format!("Bearer {token}"));
        let mut url = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let trusted = host(&url) == host(&self.hub.endpoint);
            let token = bearer.as_deref().filter(|_| trusted);
            let response = call(&url, token).map_err(|source| Error::Unreachable {
                url: url.clone(),
                source: Box::new(source),
            })?;
            let location = response.headers().get("location");
            let location = location.and_then(|value| value.to_str().ok());
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok(response);
            };
            let next = absolute(&url, location).ok_or_else(|| Error::Answer {
                url: url.clone(),
                reason: format!("with a redirect to {location:?}"),
            })?;
            if redirects == Redirects::WithinHost && host(&next) != host(&url) {
                return Ok(response);
            }
            url = next;
        }
        Err(Error::Answer {
            url,
            reason: "with one redirect after the other".into(),
        })
    }
}

/// Scheme, host and port.
fn host(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at + 3);
    url[after..].find('/').map_or(url, |at| &url[..after + at])
}

/// Where a redirect leads; nothing for what is no web address, or leaves encryption.
pub(crate) fn absolute(url: &str, location: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(format!("{}{location}", host(url)));
    }
    let secure = location.starts_with("https://");
    let plain = location.starts_with("http://") && url.starts_with("http://");
    (secure || plain).then(|| location.to_owned())
}

/// Certificate authorities: those of a file that the environment names, as hospitals' proxies need,
/// else Mozilla's.
fn authorities() -> Result<RootCerts> {
    for variable in ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) else {
            continue;
        };
        let pem = fs::read(&path).map_err(Error::io(&path))?;
        let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Error::Setting {
                variable,
                reason: format!("{} holds no certificate", path.display()),
            });
        }
        return Ok(RootCerts::new_with_certs(&certificates));
    }
    Ok(RootCerts::WebPki)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_encrypted() {
        let from = "https://hub.example/a/b";
        let to = |location| absolute(from, location);
        assert_eq!(to("/c").as_deref(), Some("https://hub.example/c"));
        assert_eq!(
            to("https://cdn.example/x").as_deref(),
            Some("https://cdn.example/x")
        );
        for location in [
            "http://hub.example/c",
            "//cdn.example/x",
            "file:///etc/passwd",
            "c",
        ] {
            assert_eq!(to(location), None, "{location}");
        }
        assert_eq!(host("https://hub.example"), "https://hub.example");
        assert_ne!(
            host("https://hub.example.evil/x"),
            host("https://hub.example/x")
        );
    }
}
