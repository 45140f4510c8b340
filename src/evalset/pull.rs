//! Fetches the official OwlEval data, file by file, against digests that this project ships.
//!
//! A file is written beside its place and put there when its digest is right, so that the folder never holds a wrong or
//! half file under a name that is used. What is there with the right digest is kept, and what was half fetched is carried
//! on from where it broke off, if the server can do that.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::confined::is_confined_name;
use super::image::MAX_IMAGE_BYTES;
use crate::error::{Error, IoContext, Result};
use crate::tls;

/// The folder of the official data: repository X-PLUG/mPLUG-Owl, the commit whose files were digested.
pub const OWLEVAL_ADDRESS: &str =
    "https://raw.githubusercontent.com/X-PLUG/mPLUG-Owl/0f3068fdb47b77aedc71fc39f5735cd7aa35e8f9/mPLUG-Owl/OwlEval";

/// `sha256sum` lines of the official files.
const OWLEVAL_FILES: &str = include_str!("../../evalsets/owleval.sha256");

/// What is fetched at the same time.
const IN_FLIGHT: usize = 4;

/// Files, relative to the folder they belong in, with their digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileList {
    files: Vec<(String, String)>,
}

impl FileList {
    /// The 57 files of OwlEval: the questions, six files of published answers, 50 pictures.
    pub fn owleval() -> Self {
        Self::parse(OWLEVAL_FILES).expect("the digests in evalsets/owleval.sha256 are well-formed, as a test proves")
    }

    /// Reads lines as `sha256sum` writes them.
    ///
    /// # Errors
    /// Where a line is not a digest and a relative path.
    pub fn parse(text: &str) -> Result<Self> {
        let entry = |(index, line): (usize, &str)| {
            let parts = line.split_once("  ").filter(|(digest, path)| {
                digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) && is_confined_name(path)
            });
            let (digest, path) =
                parts.ok_or_else(|| Error::input(format!("line {} is not a sha256 and a path", index + 1)))?;
            Ok((path.to_owned(), digest.to_ascii_lowercase()))
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        Ok(Self { files: lines.map(entry).collect::<Result<_>>()? })
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// What is fetched from where to where.
#[derive(Debug, Clone)]
pub struct PullPlan {
    pub files: FileList,
    /// `http(s)://…`, to which `/` and the path of a file are added.
    pub address: String,
    pub folder: PathBuf,
    /// The wait before the first repetition; it doubles. Three repetitions a file.
    pub retry_delay: Duration,
}

impl PullPlan {
    /// The official data into `folder`.
    pub fn owleval(folder: PathBuf) -> Self {
        let retry_delay = Duration::from_millis(500);
        Self { files: FileList::owleval(), address: OWLEVAL_ADDRESS.to_owned(), folder, retry_delay }
    }
}

/// What happened, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullEvent<'a> {
    /// Was there already, with the right digest.
    Kept(&'a str),
    /// So many bytes came.
    Received(u64),
    Fetched(&'a str),
    Failed(&'a str),
}

/// A file that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullFailure {
    pub file: String,
    pub message: String,
}

/// How a pull ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullSummary {
    pub kept: usize,
    pub fetched: usize,
    /// In the order of the list.
    pub failures: Vec<PullFailure>,
}

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    /// May be better next time: the connection, a busy server.
    #[error("{0}")]
    Transient(String),
    /// This file cannot be had here.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Local(Error),
}

/// Fetches what is not there yet. A file of another digest, or one that the server does not have, is named among the
/// failures and the others are fetched all the same.
///
/// # Errors
/// Where the address is no address, the server cannot be reached, another pull is at work in the folder, or the folder
/// cannot be written. What was fetched until then stays.
pub async fn pull(plan: &PullPlan, progress: impl Fn(PullEvent<'_>)) -> Result<PullSummary> {
    let address = reqwest::Url::parse(&plan.address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    if address.is_none() {
        let message = format!("\"{}\" is not an address to fetch from", plan.address);
        return Err(Error::input(message).remedy("give an address that begins with https:// or http://"));
    }
    std::fs::create_dir_all(&plan.folder).or_at("cannot create the folder", &plan.folder)?;
    let _lock = lock(&plan.folder)?;
    let client = client()?;
    let (client, progress) = (&client, &progress);
    // Once a file could not be had for the network's sake, none is begun any more; those in flight are finished.
    let given_up = &AtomicBool::new(false);
    let outcomes: Vec<Result<Outcome>> = futures::stream::iter(&plan.files.files)
        .map(|(file, sha256)| async move {
            if given_up.load(Ordering::Relaxed) {
                return Ok(Outcome::NotBegun);
            }
            let outcome = one_file(plan, client, file, sha256, progress).await;
            given_up.fetch_or(outcome.is_err(), Ordering::Relaxed);
            outcome
        })
        .buffered(IN_FLIGHT)
        .collect()
        .await;
    let mut summary = PullSummary::default();
    for (outcome, (file, _)) in outcomes.into_iter().zip(&plan.files.files) {
        match outcome? {
            Outcome::Kept => summary.kept += 1,
            Outcome::Fetched => summary.fetched += 1,
            Outcome::Failed(message) => summary.failures.push(PullFailure { file: file.clone(), message }),
            // An error stands before or after it in the list, and ends the pull.
            Outcome::NotBegun => {}
        }
    }
    if summary.failures.is_empty() {
        write_settings(plan)?;
    }
    Ok(summary)
}

enum Outcome {
    NotBegun,
    Kept,
    Fetched,
    Failed(String),
}

async fn one_file(
    plan: &PullPlan,
    client: &reqwest::Client,
    file: &str,
    sha256: &str,
    progress: &impl Fn(PullEvent<'_>),
) -> Result<Outcome> {
    let target = plan.folder.join(file);
    if target.exists() {
        if digest_of(&target)? == sha256 {
            progress(PullEvent::Kept(file));
            return Ok(Outcome::Kept);
        }
        progress(PullEvent::Failed(file));
        let message = "is there already with another content and was left as it is; move it away and pull again";
        return Ok(Outcome::Failed(message.to_owned()));
    }
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).or_at("cannot create the folder", parent)?;
    }
    let part = target.with_file_name(format!("{}.part", target.file_name().unwrap_or_default().to_string_lossy()));
    let url = format!("{}/{file}", plan.address.trim_end_matches('/'));
    let retries = ExponentialBuilder::default().with_min_delay(plan.retry_delay).with_max_times(3);
    let fetched = (|| fetch(client, &url, &part, sha256, progress))
        .retry(retries)
        .sleep(tokio::time::sleep)
        .when(|error| matches!(error, FetchError::Transient(_)))
        .await;
    match fetched {
        Ok(()) => {
            std::fs::rename(&part, &target).or_at("cannot put the file in its place", &target)?;
            progress(PullEvent::Fetched(file));
            Ok(Outcome::Fetched)
        }
        Err(FetchError::Refused(message)) => {
            progress(PullEvent::Failed(file));
            Ok(Outcome::Failed(message))
        }
        Err(FetchError::Local(error)) => Err(error),
        Err(FetchError::Transient(message)) => Err(Error::failed(format!("cannot fetch {url}: {message}"))
            .remedy("what was fetched is kept: pull again to carry on, or name a mirror with --from")),
    }
}

/// Fetches a file into `part`, carrying on where that ends, and checks its digest.
async fn fetch(
    client: &reqwest::Client,
    url: &str,
    part: &Path,
    sha256: &str,
    progress: &impl Fn(PullEvent<'_>),
) -> Result<(), FetchError> {
    let local =
        |doing: &'static str| move |source| FetchError::Local(Error::failed(format!("{doing}: {source}")).at(part));
    let have = part.metadata().map_or(0, |metadata| metadata.len());
    let mut request = client.get(url);
    if have > 0 {
        request = request.header(reqwest::header::RANGE, format!("bytes={have}-"));
    }
    let response = request.send().await.map_err(|error| FetchError::Transient(chain(&error)))?;
    let status = response.status();
    let carries_on = status == reqwest::StatusCode::PARTIAL_CONTENT && begins_at(&response, have);
    if status == reqwest::StatusCode::RANGE_NOT_SATISFIABLE
        || (status == reqwest::StatusCode::PARTIAL_CONTENT && !carries_on)
    {
        // What is here is not the beginning of what is there.
        std::fs::remove_file(part).map_err(local("cannot remove"))?;
        return Err(FetchError::Transient(format!("the server cannot carry on at byte {have}")));
    }
    if !status.is_success() {
        let message = format!("the server answers {status}");
        let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        return Err(if passing { FetchError::Transient(message) } else { FetchError::Refused(message) });
    }
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .append(carries_on)
        .truncate(!carries_on)
        .open(part)
        .map_err(local("cannot write"))?;
    let mut length = if carries_on { have } else { 0 };
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| FetchError::Transient(chain(&error)))?;
        length += chunk.len() as u64;
        if length > MAX_IMAGE_BYTES {
            drop(file);
            std::fs::remove_file(part).map_err(local("cannot remove"))?;
            return Err(FetchError::Refused(format!("is larger than {MAX_IMAGE_BYTES} bytes and was refused")));
        }
        file.write_all(&chunk).map_err(local("cannot write"))?;
        progress(PullEvent::Received(chunk.len() as u64));
    }
    file.sync_all().map_err(local("cannot write"))?;
    let found = digest_of(part).map_err(FetchError::Local)?;
    if found == sha256 {
        return Ok(());
    }
    std::fs::remove_file(part).map_err(local("cannot remove"))?;
    let message = format!("has the digest {found} instead of {sha256} and was refused");
    // A wrong beginning from an earlier pull is no fault of the server.
    Err(if carries_on { FetchError::Transient(message) } else { FetchError::Refused(message) })
}

fn begins_at(response: &reqwest::Response, offset: u64) -> bool {
    let range = response.headers().get(reqwest::header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

fn client() -> Result<reqwest::Client> {
    tls::install_provider();
    reqwest::Client::builder()
        .user_agent(concat!("owleval/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(20))
        .read_timeout(Duration::from_secs(60))
        .build()
        .map_err(|error| Error::failed(format!("cannot prepare for fetching: {}", chain(&error))).source(error))
}

/// One pull at a time in a folder; released when the file is closed.
fn lock(folder: &Path) -> Result<std::fs::File> {
    let path = folder.join(".pull.lock");
    let file = std::fs::File::create(&path).or_at("cannot create", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let message = format!("another pull is at work in {}", folder.display());
            Err(Error::input(message).remedy("wait until it has ended"))
        }
        // A file system without locks: two pulls at once then end in a refused digest, not in wrong files.
        Err(std::fs::TryLockError::Error(_)) => Ok(file),
    }
}

/// Says where the data comes from, and ties later runs to the digests.
fn write_settings(plan: &PullPlan) -> Result<()> {
    let path = plan.folder.join("evalset.toml");
    if path.exists() {
        return Ok(());
    }
    let mut settings = toml::Table::new();
    let mut set = |key: &str, value: &str| settings.insert(key.to_owned(), value.into());
    set("name", super::OWLEVAL);
    set("description", "OwlEval, the evaluation set of mPLUG-Owl (arXiv 2304.14178): open questions about pictures");
    set("source", &plan.address);
    set("licence", "Apache-2.0 by the repository's folder; the pictures belong to their respective owners");
    let digests: toml::Table =
        plan.files.files.iter().map(|(file, sha256)| (file.clone(), sha256.as_str().into())).collect();
    settings.insert("sha256".to_owned(), digests.into());
    let mut file = tempfile::NamedTempFile::new_in(&plan.folder).or_at("cannot write below", &plan.folder)?;
    file.write_all(settings.to_string().as_bytes()).or_at("cannot write", &path)?;
    file.as_file().sync_all().or_at("cannot write", &path)?;
    file.persist(&path).map_err(|error| error.error).or_at("cannot write", &path)?;
    Ok(())
}

fn digest_of(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).or_at("cannot read", path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).or_at("cannot read", path)? {
            0 => return Ok(hex::encode(digest.finalize())),
            length => digest.update(&buffer[..length]),
        }
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}
