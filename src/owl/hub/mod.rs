//! Models from the Hugging Face hub, named `hf:ORG/NAME` or `hf:ORG/NAME@REVISION`, in the hub's usual cache layout, so
//! that what other tools have downloaded is found, and the other way round.
//!
//! ```text
//! <cache>/models--ORG--NAME/refs/<revision>            the commit that a branch or tag stood at
//!                          /blobs/<etag>               the files' contents; <etag>.incomplete while one is downloaded
//!                          /snapshots/<commit>/<file>  links to blobs: a folder in the Hugging Face layout
//! ```
//!
//! Nothing is fetched but what a model needs; nothing goes over the network unless the user names a model of the hub.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

mod cache;
mod download;

/// The prefix of a model's name that stands for the hub.
pub const SCHEME: &str = "hf:";

const ENDPOINT: &str = "https://huggingface.co";

/// A model on the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub owner: String,
    pub name: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl Repository {
    /// `ORG/NAME`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.owner, self.name)?;
        if self.revision != "main" { write!(f, "@{}", self.revision) } else { Ok(()) }
    }
}

impl FromStr for Repository {
    type Err = Error;

    /// `hf:ORG/NAME[@REVISION]`; the prefix may be left out.
    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (id, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        let plain = |part: &str| {
            part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && part.chars().any(|c| c.is_ascii_alphanumeric())
        };
        match id.split_once('/') {
            Some((owner, name)) if plain(owner) && plain(name) && revision.split('/').all(plain) => {
                Ok(Self { owner: owner.into(), name: name.into(), revision: revision.into() })
            }
            _ => Err(Error::input(format!("{text:?} names no model of the hub"))
                .remedy("write hf:ORG/NAME or hf:ORG/NAME@REVISION, such as hf:MAGAer13/mplug-owl-llama-7b")),
        }
    }
}

/// How the hub is reached, and where its files are kept.
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    token: Option<String>,
    cache: PathBuf,
    offline: bool,
    pause: Duration,
}

impl std::fmt::Debug for Hub {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, cache, offline, .. } = self;
        write!(f, "Hub({endpoint}, {}, offline: {offline})", cache.display())
    }
}

impl Hub {
    /// The hub at an address, with the cache in a folder.
    pub fn new(endpoint: &str, cache: &Path) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: None,
            cache: cache.to_owned(),
            offline: false,
            pause: Duration::from_secs(1),
        }
    }

    /// As the hub's own tools are set up: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`, and for the cache the first of
    /// `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub` and
    /// `~/.cache/huggingface/hub`.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let cache = variable("HF_HUB_CACHE")
            .or_else(|| variable("HUGGINGFACE_HUB_CACHE"))
            .map(PathBuf::from)
            .or_else(|| variable("HF_HOME").map(|home| PathBuf::from(home).join("hub")))
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| PathBuf::from(cache).join("huggingface/hub")))
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache/huggingface/hub")))
            .ok_or_else(|| Error::input("there is no folder for the hub's cache").remedy("set HF_HOME to a folder"))?;
        let offline = variable("HF_HUB_OFFLINE")
            .is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str()));
        let hub = Self::new(&variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()), &cache);
        Ok(Self { token: variable("HF_TOKEN"), offline, ..hub })
    }

    /// With a token for models that are not public.
    pub fn with_token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// Uses the cache alone.
    pub fn offline(self) -> Self {
        Self { offline: true, ..self }
    }

    /// The first pause before a request is repeated; each further one doubles it.
    pub fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// The folder of a model: what is missing is downloaded first. Interrupted downloads carry on where they stopped.
    ///
    /// Without a connection (or with `HF_HUB_OFFLINE=1`) the cache is used if it holds the whole model.
    ///
    /// # Errors
    /// No such model or no access to it; a file whose size or digest is wrong; no connection and an incomplete cache: the
    /// error says which files to put where.
    pub fn pull(&self, repository: &Repository) -> Result<PathBuf> {
        if self.offline {
            return cache::complete(self, repository, "HF_HUB_OFFLINE is set");
        }
        match download::pull(self, repository) {
            Ok(folder) => Ok(folder),
            Err(download::Failure::Unreachable(error)) => {
                let folder = cache::complete(self, repository, &format!("{} cannot be reached", self.endpoint))
                    .map_err(|missing| missing.source(error))?;
                tracing::warn!("{} cannot be reached; {repository} is taken from the cache", self.endpoint);
                Ok(folder)
            }
            Err(download::Failure::Other(error)) => Err(error),
        }
    }
}

/// The path of a model that may be one of the hub: `hf:ORG/NAME[@REVISION]` is pulled, anything else is a path.
pub fn resolve(model: &str) -> Result<PathBuf> {
    match model.strip_prefix(SCHEME) {
        Some(_) => Hub::from_env()?.pull(&model.parse()?),
        None => Ok(PathBuf::from(model)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_are_read_with_and_without_a_revision() {
        let plain: Repository = "hf:MAGAer13/mplug-owl-llama-7b".parse().unwrap();
        assert_eq!((plain.id().as_str(), plain.revision.as_str()), ("MAGAer13/mplug-owl-llama-7b", "main"));
        let pinned: Repository = "hf:a/b@refs/pr/1".parse().unwrap();
        assert_eq!(pinned.revision, "refs/pr/1");
        assert_eq!(pinned.to_string(), "hf:a/b@refs/pr/1");
        for broken in ["hf:", "hf:gpt2", "hf:a/../b", "hf:../b", "hf:a/b@", "hf:a/b@../x", "hf:a b/c", "hf:a/b/c"] {
            let error = broken.parse::<Repository>().unwrap_err();
            assert!(error.remedy_text().unwrap().contains("hf:ORG/NAME"), "{broken}");
        }
    }

    #[test]
    fn the_token_is_not_part_of_what_is_printed() {
        let hub = Hub::new("http://localhost/", Path::new("/cache")).with_token("secret");
        assert_eq!(format!("{hub:?}"), "Hub(http://localhost, /cache, offline: false)");
    }
}
