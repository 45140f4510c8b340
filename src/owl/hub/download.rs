//! Downloads: which commit and files, their sizes and digests, then each file in one or several pieces.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};

use super::{Hub, Repository, cache};
use crate::error::{Error, IoContext, Result};

/// How often a request is tried without any progress.
const ATTEMPTS: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest silence of a server.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Redirects within the hub that are followed while asking for a file's digest (renamed models have one).
const RENAMES: usize = 3;

pub(super) enum Failure {
    /// There is no connection: the cache may serve.
    Unreachable(Error),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// A file on the hub.
struct Remote {
    name: String,
    /// The content's identity: sha256 for large files, a git hash for small ones.
    etag: String,
    bytes: Option<u64>,
}

impl Remote {
    fn sha256(&self) -> Option<&str> {
        (self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(&self.etag)
    }
}

/// Downloads what is missing of a model and returns its snapshot.
pub(super) fn pull(hub: &Hub, repository: &Repository) -> Result<PathBuf, Failure> {
    // On a thread of its own, because the caller may be running on an async runtime already.
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Error::failed("no runtime for downloads could be started").source(error))?;
            runtime.block_on(Puller::new(hub, repository)?.pull())
        });
        worker.join().unwrap_or_else(|_| Err(Error::failed("the download stopped unexpectedly").into()))
    })
}

struct Puller<'a> {
    hub: &'a Hub,
    repository: &'a Repository,
    /// Follows redirects, to wherever the contents are stored.
    client: Client,
    /// Follows none: a file's digest stands in the hub's own answer.
    direct: Client,
}

impl<'a> Puller<'a> {
    fn new(hub: &'a Hub, repository: &'a Repository) -> Result<Self> {
        crate::tls::install_provider();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(token) = &hub.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
                Error::input("HF_TOKEN holds characters that a token cannot have")
                    .remedy("set it again, without quotes")
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let build = |redirects: redirect::Policy| {
            Client::builder()
                .user_agent(concat!("owleval/", env!("CARGO_PKG_VERSION")))
                .default_headers(headers.clone())
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .redirect(redirects)
                .build()
                .map_err(|error| Error::failed("no HTTP client could be made").source(error))
        };
        Ok(Self {
            hub,
            repository,
            client: build(redirect::Policy::limited(10))?,
            direct: build(redirect::Policy::none())?,
        })
    }

    async fn pull(&self) -> Result<PathBuf, Failure> {
        let (commit, names) = self.list().await?;
        let needed = cache::needed(names.iter().map(String::as_str));
        if !needed.contains(&"config.json") || !needed.iter().any(|name| is_weights(name)) {
            return Err(Error::input(format!("{} holds no model that can be used here", self.repository))
                .remedy("a model needs config.json and its weights as .safetensors or pytorch_model*.bin")
                .into());
        }
        let mut files = Vec::new();
        for name in needed {
            files.push(self.describe(&commit, name).await?);
        }
        let blobs = cache::folder(self.hub, self.repository).join("blobs");
        let snapshot = cache::snapshot(self.hub, self.repository, &commit);
        for folder in [&blobs, &snapshot] {
            fs::create_dir_all(folder).or_at("cannot create the folder", folder)?;
        }
        let bar = bar(&files);
        for file in &files {
            bar.set_message(file.name.clone());
            let blob = blobs.join(&file.etag);
            self.fetch(&commit, file, &blob, &bar).await?;
            cache::link(&file.etag, &blob, &snapshot.join(&file.name))?;
        }
        bar.finish_and_clear();
        // Only now, so that a revision in the cache always stands at a complete snapshot.
        if self.repository.revision != commit {
            let reference = cache::reference(self.hub, self.repository);
            if let Some(parent) = reference.parent() {
                fs::create_dir_all(parent).or_at("cannot create the folder", parent)?;
            }
            fs::write(&reference, &commit).or_at("cannot write", &reference)?;
        }
        Ok(snapshot)
    }

    /// The commit of the revision, and the names of its files.
    async fn list(&self) -> Result<(String, Vec<String>), Failure> {
        #[derive(serde::Deserialize)]
        struct Model {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(serde::Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        // The slashes of a revision are part of one segment of the path.
        let revision = self.repository.revision.replace('/', "%2F");
        let address = format!("{}/api/models/{}/revision/{revision}", self.hub.endpoint, self.repository.id());
        let response = self.retry(|| self.client.get(&address).send()).await?;
        let response = self.accept(response, "its list of files")?;
        let text = response.bytes().await.map_err(|error| self.unreachable(error))?;
        let model: Model = serde_json::from_slice(&text).map_err(|error| {
            Error::failed(format!("{} answers with something else than a list of files", self.hub.endpoint))
                .remedy("check HF_ENDPOINT, and whether a proxy asks for a login")
                .source(error)
        })?;
        if !cache::is_plain(&model.sha) {
            return Err(Error::failed(format!("the hub names {:?} as the commit", model.sha)).into());
        }
        Ok((model.sha, model.siblings.into_iter().map(|sibling| sibling.rfilename).collect()))
    }

    /// Size and identity of a file, from the headers of the hub's answer.
    async fn describe(&self, commit: &str, name: &str) -> Result<Remote, Failure> {
        let mut address = self.address(commit, name);
        for _ in 0..RENAMES {
            let response = self.retry(|| self.direct.head(&address).send()).await?;
            if response.status().is_redirection() {
                let linked = response.headers().contains_key("x-linked-etag");
                let location = header(&response, LOCATION.as_str()).unwrap_or_default();
                if !linked && location.starts_with('/') {
                    address = format!("{}{location}", self.hub.endpoint);
                    continue;
                }
            }
            let response = if response.status().is_redirection() { response } else { self.accept(response, name)? };
            let etag = header(&response, "x-linked-etag").or_else(|| header(&response, ETAG.as_str()));
            let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
            let etag = etag.filter(|etag| cache::is_plain(etag)).unwrap_or_else(|| format!("{commit}-{name}"));
            let bytes = header(&response, "x-linked-size")
                .or_else(|| header(&response, CONTENT_LENGTH.as_str()).filter(|_| !response.status().is_redirection()));
            return Ok(Remote { name: name.to_owned(), etag, bytes: bytes.and_then(|bytes| bytes.parse().ok()) });
        }
        Err(Error::failed(format!("the hub sends {name} from one address to the next")).into())
    }

    /// Downloads a file into its blob, unless it is there; carries on with what an earlier call has left.
    async fn fetch(&self, commit: &str, remote: &Remote, blob: &Path, bar: &ProgressBar) -> Result<(), Failure> {
        if let Ok(found) = fs::metadata(blob)
            && remote.bytes.is_none_or(|bytes| bytes == found.len())
        {
            bar.inc(found.len());
            return Ok(());
        }
        let incomplete = blob.with_file_name(format!("{}.incomplete", remote.etag));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&incomplete)
            .or_at("cannot write", &incomplete)?;
        if file.try_lock().is_err() {
            return Err(Error::failed(format!("another process is downloading {}", remote.name))
                .at(&incomplete)
                .remedy("wait for it, or end it")
                .into());
        }
        let mut have = file.seek(SeekFrom::End(0)).or_at("cannot read", &incomplete)?;
        if remote.bytes.is_some_and(|bytes| have > bytes) {
            have = 0;
            file.set_len(have).or_at("cannot write", &incomplete)?;
        }
        bar.inc(have);
        let mut failures = 0;
        let mut pause = self.hub.pause;
        while remote.bytes.is_none_or(|bytes| have < bytes) {
            let before = have;
            match self.piece(commit, remote, &mut file, &mut have, &incomplete, bar).await {
                Ok(()) if remote.bytes.is_none_or(|bytes| have >= bytes) => break,
                Ok(()) | Err(Failure::Unreachable(_)) if have > before => (failures, pause) = (0, self.hub.pause),
                Ok(()) => failures += 1,
                Err(Failure::Unreachable(error)) if failures + 1 >= ATTEMPTS => {
                    return Err(Error::failed(format!("{} could not be downloaded completely", remote.name))
                        .remedy("run the same command again: it carries on where it stopped")
                        .source(error)
                        .into());
                }
                Err(Failure::Unreachable(_)) => failures += 1,
                Err(other) => return Err(other),
            }
            if failures >= ATTEMPTS {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        file.sync_all().or_at("cannot sync", &incomplete)?;
        self.verify(remote, &incomplete, have)?;
        Ok(fs::rename(&incomplete, blob).or_at("cannot rename the finished file", blob)?)
    }

    /// One request for the rest of a file.
    async fn piece(
        &self,
        commit: &str,
        remote: &Remote,
        file: &mut File,
        have: &mut u64,
        path: &Path,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let mut request = self.client.get(self.address(commit, &remote.name));
        if *have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if retryable(response.status()) {
            return Err(Failure::Unreachable(Error::failed(format!("the hub answers {}", response.status()))));
        }
        let mut response = self.accept(response, &remote.name)?;
        let continues = response.status() == StatusCode::PARTIAL_CONTENT
            && header(&response, CONTENT_RANGE.as_str())
                .is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
        if !continues {
            // The server sends the whole file (or something else than asked for): begin again.
            bar.dec(*have);
            *have = 0;
        }
        file.set_len(*have).or_at("cannot write", path)?;
        file.seek(SeekFrom::Start(*have)).or_at("cannot write", path)?;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            file.write_all(&chunk).or_at("cannot write", path)?;
            *have += chunk.len() as u64;
            bar.inc(chunk.len() as u64);
            if remote.bytes.is_some_and(|bytes| *have > bytes) {
                break;
            }
        }
        Ok(())
    }

    fn verify(&self, remote: &Remote, path: &Path, have: u64) -> Result<()> {
        let refuse = |message: String| {
            // What is wrong must not be carried on with.
            let _ = fs::remove_file(path);
            Err(Error::failed(message).at(path).remedy("the download was removed: pull again"))
        };
        if let Some(bytes) = remote.bytes
            && have < bytes
        {
            return Err(Error::failed(format!("{} ended after {have} of {bytes} bytes", remote.name))
                .at(path)
                .remedy("run the same command again: it carries on where it stopped"));
        }
        if let Some(bytes) = remote.bytes
            && have > bytes
        {
            return refuse(format!("{} is longer than the {bytes} bytes that the hub promises", remote.name));
        }
        if let Some(expected) = remote.sha256() {
            let found = crate::owl::weights::file_sha256(path)?;
            if !found.eq_ignore_ascii_case(expected) {
                return refuse(format!("{} has the sha256 {found}, but {expected} is expected", remote.name));
            }
        }
        Ok(())
    }

    fn address(&self, commit: &str, name: &str) -> String {
        format!("{}/{}/resolve/{commit}/{name}", self.hub.endpoint, self.repository.id())
    }

    /// Repeats a request while the server cannot be reached or is overloaded.
    async fn retry<F, R>(&self, request: F) -> Result<Response, Failure>
    where
        F: Fn() -> R,
        R: Future<Output = reqwest::Result<Response>>,
    {
        let mut pause = self.hub.pause;
        for attempt in 1.. {
            match request().await {
                Ok(response) if retryable(response.status()) && attempt < ATTEMPTS => {}
                Ok(response) => return Ok(response),
                // Nobody answers: the cache may serve, so do not make the user wait.
                Err(error) if error.is_connect() || attempt >= ATTEMPTS => return Err(self.unreachable(error)),
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(Error::failed("the hub was not asked").into())
    }

    /// An answer that is a success; `what` was asked for.
    fn accept(&self, response: Response, what: &str) -> Result<Response> {
        let status = response.status();
        let repository = self.repository;
        match status {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let remedy = if self.hub.token.is_some() {
                    "the token in HF_TOKEN may not read it: accept the model's terms on its page, or check name and token"
                } else {
                    "check the name; if the model is private or gated, accept its terms on its page and set HF_TOKEN to a \
                     token that may read it"
                };
                Err(Error::input(format!("the hub gives no access to {repository} ({status})")).remedy(remedy))
            }
            StatusCode::NOT_FOUND => Err(Error::input(format!("{repository} was not found on the hub ({what})"))
                .remedy(format!("check name and revision: {}/{}", self.hub.endpoint, repository.id()))),
            status => Err(Error::failed(format!("the hub answers {status} when asked for {what} of {repository}"))
                .remedy("try again later")),
        }
    }

    /// Without the address: those of storage servers hold signatures.
    fn unreachable(&self, error: reqwest::Error) -> Failure {
        Failure::Unreachable(
            Error::failed(format!("the connection to {} failed", self.hub.endpoint)).source(error.without_url()),
        )
    }
}

fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".bin")
}

fn retryable(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn bar(files: &[Remote]) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(files.iter().filter_map(|file| file.bytes).sum()).with_style(style)
}
