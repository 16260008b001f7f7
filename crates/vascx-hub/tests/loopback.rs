//! Downloads from a hub of our own on the loopback interface.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest, Sha256};
use vascx_hub::{Error, Hub, HubName};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NAME: &str = "Eyened/vascx:fovea/fovea_may26.pt";
const FILE: &str = "/Eyened/vascx/resolve/main/fovea/fovea_may26.pt";

/// A request as it arrived.
#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

/// How the hub behaves.
#[derive(Clone)]
struct Behaviour {
    status: u16,
    error_code: &'static str,
    checksum: String,
    commit: &'static str,
    /// Bytes per connection before it is cut.
    cut: Option<usize>,
    ranges: bool,
    /// Whether the file lies on another host, as large files do.
    elsewhere: bool,
    content: Vec<u8>,
}

impl Behaviour {
    fn new() -> Self {
        let content: Vec<u8> = (0..200_000_u32)
            .map(|i| (i.wrapping_mul(i) >> 7) as u8)
            .collect();
        Self {
            status: 200,
            error_code: "",
            checksum: hex(&content),
            commit: COMMIT,
            cut: None,
            ranges: true,
            elsewhere: false,
            content,
        }
    }
}

fn hex(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    cache: tempfile::TempDir,
}

impl Server {
    fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, behaviour) = (seen.clone(), behaviour.clone());
                thread::spawn(move || {
                    if let Some(request) = read(stream.as_ref().unwrap()) {
                        seen.lock().unwrap().push(request.clone());
                        let _ = answer(stream.unwrap(), &request, &behaviour, port);
                    }
                });
            }
        });
        Self {
            port,
            requests,
            cache: tempfile::tempdir().unwrap(),
        }
    }

    fn hub(&self) -> Hub {
        let mut hub = Hub::new(self.cache.path());
        hub.endpoint = format!("http://127.0.0.1:{}", self.port);
        hub.token = Some("hf_secret".into());
        hub
    }

    fn fetch(&self) -> Result<std::path::PathBuf, Error> {
        self.hub().fetch(&NAME.parse().unwrap(), |_| {})
    }

    fn count(&self, method: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|r| r.method == method).count()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (key, value) = line.split_once(": ")?;
            Some((key.to_lowercase(), value.to_owned()))
        })
        .collect();
    Some(Request {
        method,
        path,
        headers,
    })
}

fn answer(
    mut stream: TcpStream,
    request: &Request,
    hub: &Behaviour,
    port: u16,
) -> std::io::Result<()> {
    let size = hub.content.len();
    if hub.status != 200 {
        return write!(
            stream,
            "HTTP/1.1 {} X\r\nX-Error-Code: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            hub.status, hub.error_code
        );
    }
    if hub.elsewhere && request.path == FILE {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nX-Repo-Commit: {}\r\nX-Linked-Etag: \"{}\"\r\nX-Linked-Size: {size}\r\n\
             Location: http://localhost:{port}/storage/blob\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            hub.commit, hub.checksum
        );
    }
    let from = request.headers.get("range").filter(|_| hub.ranges);
    let from = from.map(|range| {
        let range = range.strip_prefix("bytes=").unwrap();
        range.trim_end_matches('-').parse::<usize>().unwrap()
    });
    let status = match from {
        Some(from) => format!(
            "206 Partial\r\nContent-Range: bytes {from}-{}/{size}",
            size - 1
        ),
        None => "200 OK".into(),
    };
    let body = &hub.content[from.unwrap_or(0)..];
    write!(
        stream,
        "HTTP/1.1 {status}\r\nX-Repo-Commit: {}\r\nETag: \"{}\"\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        hub.commit,
        hub.checksum,
        body.len()
    )?;
    if request.method == "GET" {
        stream.write_all(&body[..hub.cut.unwrap_or(usize::MAX).min(body.len())])?;
    }
    Ok(())
}

fn assert_no_leftovers(cache: &Path) {
    let blobs = cache.join("models--Eyened--vascx/blobs");
    for entry in fs::read_dir(blobs).unwrap() {
        let name = entry.unwrap().file_name();
        let name = name.to_string_lossy();
        assert!(!name.contains("incomplete"), "{name}");
    }
}

#[test]
fn a_file_is_downloaded_once_into_the_hubs_own_layout() {
    let behaviour = Behaviour::new();
    let server = Server::start(behaviour.clone());
    let mut last = 0;
    let name: HubName = NAME.parse().unwrap();
    let path = server
        .hub()
        .fetch(&name, |progress| {
            assert!(progress.received >= last && progress.total == 200_000);
            last = progress.received;
        })
        .unwrap();
    assert_eq!(last, 200_000);
    assert_eq!(fs::read(&path).unwrap(), behaviour.content);
    let folder = server.cache.path().join("models--Eyened--vascx");
    let expected = format!("snapshots/{COMMIT}/fovea/fovea_may26.pt");
    assert_eq!(path, folder.join(expected));
    assert_eq!(
        fs::read_to_string(folder.join("refs/main")).unwrap(),
        COMMIT
    );
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(&path).unwrap(),
        Path::new("../../../blobs").join(&behaviour.checksum)
    );
    assert_no_leftovers(server.cache.path());
    assert_eq!(server.fetch().unwrap(), path);
    assert_eq!((server.count("HEAD"), server.count("GET")), (2, 1));
    let mut offline = server.hub();
    offline.offline = true;
    assert_eq!(offline.fetch(&name, |_| {}).unwrap(), path);
    assert_eq!(server.count("HEAD"), 2);
}

#[test]
fn the_token_stays_with_the_hub() {
    let mut behaviour = Behaviour::new();
    behaviour.elsewhere = true;
    let server = Server::start(behaviour.clone());
    assert_eq!(
        fs::read(server.fetch().unwrap()).unwrap(),
        behaviour.content
    );
    let requests = server.requests.lock().unwrap();
    let token = |path: &str| {
        let request = requests
            .iter()
            .find(|request| request.path == path)
            .unwrap();
        request.headers.get("authorization").cloned()
    };
    assert_eq!(token(FILE).as_deref(), Some("Bearer hf_secret"));
    assert_eq!(token("/storage/blob"), None);
}

#[test]
fn a_cut_download_is_taken_up_again() {
    for ranges in [true, false] {
        let mut behaviour = Behaviour::new();
        behaviour.ranges = ranges;
        // Without ranges every try begins anew, so only the last may be whole.
        behaviour.cut = ranges.then_some(70_000);
        let server = Server::start(behaviour.clone());
        let partial = format!(
            "models--Eyened--vascx/blobs/{}.incomplete",
            behaviour.checksum
        );
        let partial = server.cache.path().join(partial);
        fs::create_dir_all(partial.parent().unwrap()).unwrap();
        fs::write(&partial, &behaviour.content[..1000]).unwrap();
        assert_eq!(
            fs::read(server.fetch().unwrap()).unwrap(),
            behaviour.content
        );
        assert_no_leftovers(server.cache.path());
        let requests = server.requests.lock().unwrap();
        let ranges: Vec<_> = requests
            .iter()
            .filter_map(|request| request.headers.get("range").cloned())
            .collect();
        assert_eq!(ranges[0], "bytes=1000-");
        assert_eq!(ranges.len(), if behaviour.ranges { 3 } else { 1 });
    }
}

#[test]
fn damaged_files_are_not_kept() {
    let mut behaviour = Behaviour::new();
    behaviour.content[5] ^= 1;
    let server = Server::start(behaviour);
    let error = server.fetch().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_no_leftovers(server.cache.path());
    let mut offline = server.hub();
    offline.offline = true;
    let error = offline.fetch(&NAME.parse().unwrap(), |_| {}).unwrap_err();
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
}

#[test]
fn refusals_say_what_to_do() {
    for (status, error_code, expected) in [
        (401, "GatedRepo", "HF_TOKEN"),
        (403, "", "HF_TOKEN"),
        (404, "EntryNotFound", "no such file"),
        (404, "RepoNotFound", "no such repository"),
        (404, "RevisionNotFound", "no such revision"),
        (500, "", "status 500"),
    ] {
        let mut behaviour = Behaviour::new();
        (behaviour.status, behaviour.error_code) = (status, error_code);
        let error = Server::start(behaviour).fetch().unwrap_err().to_string();
        assert!(error.contains(expected), "{status}: {error}");
    }
}

#[test]
fn without_network_the_cache_serves() {
    let server = Server::start(Behaviour::new());
    let path = server.fetch().unwrap();
    let mut unreachable = server.hub();
    // Bound and dropped: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    unreachable.endpoint = format!("http://127.0.0.1:{port}");
    let name: HubName = NAME.parse().unwrap();
    assert_eq!(unreachable.fetch(&name, |_| {}).unwrap(), path);
    let other: HubName = "Eyened/vascx:disc/disc_may26.pt".parse().unwrap();
    let error = unreachable.fetch(&other, |_| {}).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[test]
fn headers_cannot_name_other_files() {
    for (checksum, commit) in [("../../evil", COMMIT), ("abc", "../main"), ("", COMMIT)] {
        let mut behaviour = Behaviour::new();
        behaviour.checksum = checksum.into();
        behaviour.commit = commit;
        let server = Server::start(behaviour);
        let error = server.fetch().unwrap_err();
        assert!(matches!(error, Error::Answer { .. }), "{error}");
        assert!(fs::read_dir(server.cache.path()).unwrap().next().is_none());
    }
}

#[test]
fn two_at_once_download_once() {
    let server = Server::start(Behaviour::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| server.fetch().unwrap());
        }
    });
    assert_eq!(server.count("GET"), 1);
}
