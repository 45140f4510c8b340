//! Where the pictures of a sheet are on this machine. A sheet does not copy them: it names the evalset, and each
//! picture by name and digest.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::cards::CardRow;
use super::manifest::EvalSetPlace;
use crate::error::{Error, IoContext as _, Result};
use crate::evalset::{EvalSet, ImageRoot};

/// The folder in which the pictures lie.
#[derive(Debug)]
pub(super) struct Pictures {
    folder: PathBuf,
    /// Where the evalset is built into the program, its pictures are put here for as long as they are needed.
    pub temporary: Option<TempDir>,
    pub warnings: Vec<String>,
}

impl Pictures {
    /// Finds the evalset of a sheet: where `given` says; else where it was when the sheet was made; else by its name.
    /// Without `are_needed` it may be missing.
    ///
    /// # Errors
    /// Where the evalset is not found, or a picture is missing or was changed since; the picture is named.
    pub fn find(wanted: &EvalSetPlace, given: Option<&OsStr>, cards: &[CardRow], are_needed: bool) -> Result<Self> {
        let evalset = match given {
            Some(given) => EvalSet::open(given),
            None => EvalSet::open(&wanted.place).or_else(|error| EvalSet::open(&wanted.name).map_err(|_| error)),
        };
        match evalset {
            Ok(evalset) => Self::of(&evalset, wanted, cards),
            Err(error) if are_needed => {
                Err(Error::input(format!("the pictures of evalset {} are not where they were", wanted.name))
                    .remedy("say where the evalset is, with --evalset NAME-OR-DIR, or grade with --no-pictures")
                    .source(error))
            }
            Err(error) => {
                Ok(Self { folder: PathBuf::from(&wanted.place), temporary: None, warnings: vec![error.to_string()] })
            }
        }
    }

    fn of(evalset: &EvalSet, wanted: &EvalSetPlace, cards: &[CardRow]) -> Result<Self> {
        let mut warnings = Vec::new();
        if evalset.sha256 != wanted.sha256 {
            refuse_other_pictures(evalset, cards)?;
            warnings.push(format!(
                "evalset {} is another than when the sheet was made; the pictures of this sheet are the same",
                evalset.name
            ));
        }
        let names = cards.iter().flat_map(|card| &card.images).map(|image| image.name.as_str());
        let (folder, temporary) = folder_of(&evalset.images, names)?;
        Ok(Self { folder, temporary, warnings })
    }

    /// The absolute path of a picture.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A folder with the pictures of those names, and what keeps it alive where it was made for the purpose.
pub(super) fn folder_of<'a>(
    images: &ImageRoot,
    names: impl Iterator<Item = &'a str>,
) -> Result<(PathBuf, Option<TempDir>)> {
    match images {
        ImageRoot::Folder(folder) => {
            let folder = std::path::absolute(folder).or_at("cannot find the folder", folder)?;
            Ok((folder, None))
        }
        ImageRoot::Embedded(_) => {
            let temporary = tempfile::Builder::new().prefix("owleval-pictures-").tempdir();
            let temporary = temporary.or_at("cannot make a folder for pictures", std::env::temp_dir())?;
            for name in names {
                let path = temporary.path().join(name);
                if !path.exists() {
                    write_picture(&path, &images.read(name)?.bytes)?;
                }
            }
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

fn write_picture(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).or_at("cannot create the folder", folder)?;
    }
    std::fs::write(path, bytes).or_at("cannot write", path)
}

fn refuse_other_pictures(evalset: &EvalSet, cards: &[CardRow]) -> Result<()> {
    let pictures: BTreeMap<&str, &Option<String>> =
        cards.iter().flat_map(|card| &card.images).map(|image| (image.name.as_str(), &image.sha256)).collect();
    for (name, wanted) in pictures {
        // What could not be read when the sheet was made is not asked for now.
        let Some(wanted) = wanted else { continue };
        let found = evalset.images.read(name)?.sha256;
        if found != *wanted {
            return Err(Error::input(format!("picture {name} is another than when the sheet was made"))
                .at(match &evalset.images {
                    ImageRoot::Folder(folder) => folder.join(name),
                    ImageRoot::Embedded(evalset) => Path::new(evalset).join(name),
                })
                .remedy("give the evalset that the sheet was made with, with --evalset NAME-OR-DIR"));
        }
    }
    Ok(())
}
