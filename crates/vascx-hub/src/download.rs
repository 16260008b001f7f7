//! From a name to a file: the cache, else the hub.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::cache::{Repository, is_commit};
use crate::error::{Error, Result};
use crate::name::HubName;
use crate::request::{Client, Redirects};
use crate::settings::Hub;

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are here, those of an earlier try included.
    pub received: u64,
    /// Bytes of the file.
    pub total: u64,
}

/// How often a broken download is taken up again without a byte gained.
const TRIES: u32 = 4;
const BUFFER: usize = 1 << 16;

/// What the hub says of a file.
struct Listing {
    commit: String,
    /// SHA-256 of large files, another checksum of small ones.
    checksum: String,
    size: u64,
}

impl Hub {
    /// The file of a name: from the cache when it holds what the hub has now, else downloaded into
    /// it. Without network, or when `offline`, what the cache holds for this revision.
    ///
    /// # Errors
    /// When the file is neither in the cache nor to be had from the hub.
    pub fn fetch(&self, name: &HubName, mut progress: impl FnMut(Progress)) -> Result<PathBuf> {
        let repository = Repository::new(&self.cache, name);
        if self.offline {
            return repository.find(name).ok_or_else(|| Error::Offline {
                name: name.to_string(),
                cache: self.cache.clone(),
            });
        }
        // A commit never changes.
        if is_commit(name.revision())
            && let Some(path) = repository.find(name)
        {
            return Ok(path);
        }
        let url = format!(
            "{}/{}/resolve/{}/{}",
            self.endpoint,
            name.repository(),
            name.revision().replace('/', "%2F"),
            escaped(name.path())
        );
        let client = Client::new(self)?;
        let listing = match listing(&client, &url, name) {
            Err(error @ Error::Unreachable { .. }) => {
                return repository.find(name).ok_or(error);
            }
            listing => listing?,
        };
        let path = repository.snapshot(&listing.commit, name);
        let blob = repository.blob(&listing.checksum);
        // Until the file has its name: another process would take what is half done for missing.
        let _lock = repository.lock(&listing.checksum)?;
        if !path.is_file() && !blob.is_file() {
            download(&client, &url, name, &listing, &blob, &mut progress)?;
        }
        repository.publish(&listing.commit, &listing.checksum, name)
    }
}

/// A path within a URL: bytes that are not plain are written as `%XX`.
fn escaped(path: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn listing(client: &Client<'_>, url: &str, name: &HubName) -> Result<Listing> {
    let response = client.head(url, Redirects::WithinHost)?;
    let header = |key: &str| response.headers().get(key)?.to_str().ok();
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        // The hub answers so for repositories that do not exist, too, lest one learns of them.
        return Err(Error::Denied {
            name: name.to_string(),
            status: status.as_u16(),
        });
    }
    if status == StatusCode::NOT_FOUND {
        return Err(Error::NotFound {
            name: name.to_string(),
            reason: match header("x-error-code") {
                Some("RepoNotFound") => "there is no such repository, or HF_TOKEN does not open it",
                Some("RevisionNotFound") => "the repository has no such revision",
                Some("EntryNotFound") => "the repository has no such file",
                _ => "status 404",
            },
        });
    }
    let wrong = |reason: String| Error::Answer {
        url: url.into(),
        reason,
    };
    if !status.is_success() && !status.is_redirection() {
        return Err(wrong(format!("with status {status}")));
    }
    let number = |key| header(key)?.parse().ok();
    let checksum = header("x-linked-etag").or_else(|| header("etag"));
    let checksum = checksum
        .unwrap_or("")
        .trim_start_matches("W/")
        .trim_matches('"');
    let commit = header("x-repo-commit").unwrap_or("");
    // Both become names of files.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !is_commit(commit) || checksum.is_empty() || !checksum.bytes().all(plain) {
        return Err(wrong(
            "without a commit and a checksum; is this a Hugging Face hub (HF_ENDPOINT)?".into(),
        ));
    }
    let size = number("x-linked-size").or_else(|| number("content-length"));
    Ok(Listing {
        commit: commit.into(),
        checksum: checksum.into(),
        size: size.ok_or_else(|| wrong("without a size".into()))?,
    })
}

/// Downloads into `blob`, going on from what an earlier try left beside it.
fn download(
    client: &Client<'_>,
    url: &str,
    name: &HubName,
    listing: &Listing,
    blob: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let folder = blob.parent().expect("a file within a folder");
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let partial = blob.with_extension("incomplete");
    let failed = || Error::io(&partial);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(&partial)
        .map_err(failed())?;
    let mut received = file.metadata().map_err(failed())?.len();
    if received > listing.size {
        file.set_len(0).map_err(failed())?;
        received = 0;
    }
    let total = listing.size;
    let mut broken = 0;
    while received < total {
        progress(Progress { received, total });
        let before = received;
        let result = client.get(url, received).and_then(|response| {
            let response = accepted(response, url, received)?;
            if received > 0 && response.status() == StatusCode::OK {
                // No ranges here: from the beginning.
                file.set_len(0).map_err(failed())?;
                received = 0;
            }
            append(response, url, &mut file, &partial, &mut |bytes| {
                received += bytes;
                progress(Progress { received, total });
            })
        });
        match result {
            Ok(()) if received == total => break,
            Ok(()) if received > total => {
                let _ = fs::remove_file(&partial);
                return Err(Error::Answer {
                    url: url.into(),
                    reason: format!("with more than the {total} bytes that it announced"),
                });
            }
            Err(error @ (Error::Io { .. } | Error::Answer { .. })) => return Err(error),
            // Cut off: go on from there, a little later.
            result => {
                broken = if received > before { 1 } else { broken + 1 };
                if broken >= TRIES {
                    return Err(result.err().unwrap_or_else(|| Error::Answer {
                        url: url.into(),
                        reason: format!("with {received} of {total} bytes"),
                    }));
                }
                std::thread::sleep(Duration::from_millis(250 << broken));
            }
        }
    }
    check(&mut file, &partial, name, listing)?;
    file.sync_all().map_err(failed())?;
    fs::rename(&partial, blob).map_err(Error::io(blob))
}

/// Refuses answers that are no part of the file.
fn accepted(response: Response<Body>, url: &str, from: u64) -> Result<Response<Body>> {
    let range = response.headers().get("content-range");
    let begins = |range: &str| range.starts_with(&format!("bytes {from}-"));
    let fits = match response.status() {
        StatusCode::OK => true,
        StatusCode::PARTIAL_CONTENT => range
            .and_then(|range| range.to_str().ok())
            .is_some_and(begins),
        _ => false,
    };
    if fits {
        return Ok(response);
    }
    Err(Error::Answer {
        url: url.into(),
        reason: format!(
            "with status {} for the bytes from {from}",
            response.status()
        ),
    })
}

fn append(
    mut response: Response<Body>,
    url: &str,
    file: &mut File,
    path: &Path,
    arrived: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Error::Unreachable {
                    url: url.into(),
                    source: Box::new(ureq::Error::Io(error)),
                });
            }
        };
        file.write_all(&buffer[..count]).map_err(Error::io(path))?;
        arrived(count as u64);
    }
}

/// Compares with the hub's SHA-256, where the checksum is one.
fn check(file: &mut File, path: &Path, name: &HubName, listing: &Listing) -> Result<()> {
    let expected = &listing.checksum;
    if expected.len() != 64 || !expected.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    file.rewind().map_err(Error::io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer).map_err(Error::io(path))? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    let found: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let _ = fs::remove_file(path);
    Err(Error::Damaged {
        name: name.to_string(),
        expected: expected.clone(),
        found,
    })
}
