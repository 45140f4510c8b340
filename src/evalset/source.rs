//! Where an evalset's files come from: a folder, the binary itself, or the data that was pulled.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::confined::{self, ReadFailure};
use crate::error::{Error, Result};

/// The folder `evalsets/` as it was at compile time. A new evalset is named in `evalsets/README.md`, so that cargo sees
/// a changed file and embeds it.
static EVALSETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/evalsets");

/// The name under which the official data is found once it was pulled.
pub const OWLEVAL: &str = "owleval";

/// No file of questions or settings is larger.
pub(super) const MAX_TEXT_BYTES: u64 = 64 << 20;

/// An evalset that was found, not yet read.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Folder {
        folder: PathBuf,
        /// `owleval` for the pulled data; otherwise the folder's own name counts.
        name: Option<&'static str>,
    },
    /// By the name of its folder under `evalsets/`.
    BuiltIn(&'static str),
}

impl Source {
    /// Finds an evalset: a built-in name, `owleval` where it was pulled below `data_home`, or a folder.
    ///
    /// # Errors
    /// Where there is no such evalset; the remedy names those there are.
    pub fn find(name_or_folder: impl AsRef<OsStr>, data_home: Option<&Path>) -> Result<Self> {
        let given = name_or_folder.as_ref();
        if let Some(name) = built_in_names().into_iter().find(|name| OsStr::new(name) == given) {
            return Ok(Self::BuiltIn(name));
        }
        let is_owleval = given == OsStr::new(OWLEVAL);
        if is_owleval
            && let Some(folder) = data_home.map(owleval_folder)
            && folder.join("questions.jsonl").is_file()
        {
            return Ok(Self::Folder { folder, name: Some(OWLEVAL) });
        }
        let folder = PathBuf::from(given);
        if folder.is_dir() {
            return Ok(Self::Folder { folder, name: None });
        }
        if is_owleval {
            return Err(Error::input("the official OwlEval data is not here yet")
                .remedy("`owleval evalset pull owleval` fetches it; or give the path of a folder that holds it"));
        }
        let names = built_in_names().join(", ");
        let message = format!("there is no evalset and no folder named {}", folder.display());
        Err(Error::input(message).remedy(format!(
            "built in: {names}; after `owleval evalset pull owleval`: {OWLEVAL}; or give a folder that holds questions.jsonl"
        )))
    }

    /// The path of one of its files, for messages and for opening where it is a folder.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        match self {
            Self::Folder { folder, .. } => folder.join(relative),
            Self::BuiltIn(name) => Path::new(name).join(relative),
        }
    }

    /// The folder or the built-in name.
    pub fn place(&self) -> &Path {
        match self {
            Self::Folder { folder, .. } => folder,
            Self::BuiltIn(name) => Path::new(name),
        }
    }

    /// The name of an evalset that does not say its own.
    pub(super) fn default_name(&self) -> String {
        match self {
            Self::Folder { name: Some(name), .. } | Self::BuiltIn(name) => (*name).to_owned(),
            Self::Folder { folder, name: None } => {
                let whole = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                whole.file_name().map_or_else(|| "evalset".to_owned(), |name| name.to_string_lossy().into_owned())
            }
        }
    }

    /// The bytes of one of its files.
    pub(super) fn read(&self, relative: &str, limit: u64) -> Result<Vec<u8>, ReadFailure> {
        match self {
            Self::Folder { folder, .. } => confined::read(folder, relative, limit),
            Self::BuiltIn(name) => embedded(name, relative, limit).map(<[u8]>::to_vec),
        }
    }
}

/// The names of the evalsets in the binary, sorted.
pub fn built_in_names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = EVALSETS
        .dirs()
        .filter(|folder| folder.get_file(folder.path().join("evalset.toml")).is_some())
        .filter_map(|folder| folder.path().to_str())
        .collect();
    names.sort_unstable();
    names
}

/// A file of a built-in evalset.
pub(super) fn embedded(name: &str, relative: &str, limit: u64) -> Result<&'static [u8], ReadFailure> {
    if !confined::is_confined_name(relative) {
        return Err(ReadFailure::Leaves { folder: PathBuf::from(name) });
    }
    let folder = EVALSETS.get_dir(name).ok_or(ReadFailure::Missing)?;
    let bytes = folder.get_file(folder.path().join(relative)).ok_or(ReadFailure::Missing)?.contents();
    if bytes.len() as u64 > limit { Err(ReadFailure::TooLarge { limit }) } else { Ok(bytes) }
}

/// The file names directly in a folder of a built-in evalset.
pub(super) fn embedded_names(name: &str, relative: &str) -> Vec<String> {
    let Some(folder) = EVALSETS.get_dir(Path::new(name).join(relative)) else { return Vec::new() };
    let names = folder.files().filter_map(|file| file.path().file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Where `owleval` keeps data that it fetched: `$OWLEVAL_HOME`, else `$XDG_DATA_HOME/owleval`, else
/// `~/.local/share/owleval` (`%LOCALAPPDATA%\owleval` on Windows). None where no variable says it.
pub fn data_home() -> Option<PathBuf> {
    data_home_from(|variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn data_home_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("OWLEVAL_HOME")
        // The XDG specification says that relative paths there are to be ignored.
        .or_else(|| variable("XDG_DATA_HOME").filter(|path| path.is_absolute()).map(|path| path.join("owleval")))
        .or_else(|| variable("HOME").map(|path| path.join(".local/share/owleval")))
        .or_else(|| variable("LOCALAPPDATA").map(|path| path.join("owleval")))
}

/// Where the official data lies below the data folder.
pub fn owleval_folder(data_home: &Path) -> PathBuf {
    data_home.join("evalsets").join(OWLEVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_follows_the_variables_in_order() {
        let set = |names: &'static [(&str, &str)]| {
            data_home_from(|variable| {
                names.iter().find(|(name, _)| *name == variable).map(|(_, value)| PathBuf::from(value))
            })
        };
        assert_eq!(set(&[("OWLEVAL_HOME", "o"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Some("o".into()));
        assert_eq!(set(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Some("/x/owleval".into()));
        assert_eq!(set(&[("XDG_DATA_HOME", "x"), ("HOME", "/h")]), Some("/h/.local/share/owleval".into()));
        assert_eq!(set(&[]), None);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_there_are() {
        let error = Source::find("no-such-evalset", None).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("no-such-evalset"));
        assert!(error.remedy_text().expect("a remedy").contains("questions.jsonl"));
    }

    #[test]
    fn owleval_is_found_where_it_was_pulled() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let error = Source::find(OWLEVAL, Some(home.path())).expect_err("not pulled yet");
        assert!(error.remedy_text().expect("a remedy").contains("evalset pull owleval"));
        let folder = owleval_folder(home.path());
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("questions.jsonl"), "").expect("a file");
        let found = Source::find(OWLEVAL, Some(home.path())).expect("found");
        assert_eq!(found, Source::Folder { folder, name: Some(OWLEVAL) });
        assert_eq!(found.default_name(), OWLEVAL);
    }
}
