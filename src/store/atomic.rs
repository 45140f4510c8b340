//! Whole files: written beside themselves, synced, renamed.
//!
//! A reader sees the old file or the new one, never half of one, whenever the writer is killed.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, IoContext as _, Result};

/// Ends the name of a file that is being written; one that a killed process left behind is swept away by [`sweep`].
const PART: &str = ".part";

/// Replaces the file at `path` by `bytes`, in one step.
///
/// # Errors
/// Where the folder does not exist or cannot be written, or the disk is full; the old file is then untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let (folder, name) = folder_and_name(path)?;
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{name}.");
    builder.prefix(&prefix).suffix(PART);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // A temporary file is private by default; a result is for everybody whom the umask admits.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut beside = builder.tempfile_in(folder).or_at("cannot write", path)?;
    beside.write_all(bytes).or_at("cannot write", path)?;
    beside.as_file().sync_all().or_at("cannot write", path)?;
    beside.persist(path).map_err(|error| error.error).or_at("cannot replace the file", path)?;
    sync_folder(folder)
}

/// Replaces the file at `path` by `value` as indented JSON with a final newline.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| Error::failed("cannot be put into JSON").at(path).source(source))?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// Makes the names in a folder durable: a new or renamed file is only safe once its folder is synced too.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Only Unix opens a folder as a file; elsewhere the rename itself is all that can be asked for.
    if cfg!(unix) {
        std::fs::File::open(folder).and_then(|file| file.sync_all()).or_at("cannot sync the folder", folder)?;
    }
    Ok(())
}

/// Removes what a killed process left of its attempts to write `path`. Call it only under the folder's lock.
pub fn sweep(path: &Path) -> Result<()> {
    let (folder, name) = folder_and_name(path)?;
    let prefix = format!(".{name}.");
    for entry in std::fs::read_dir(folder).or_at("cannot read the folder", folder)? {
        let entry = entry.or_at("cannot read the folder", folder)?;
        if is_part(&entry.file_name().to_string_lossy(), &prefix) {
            std::fs::remove_file(entry.path()).or_at("cannot remove", entry.path())?;
        }
    }
    Ok(())
}

/// Whether a file name is that of a file which was being written when its process was killed.
pub fn is_leftover(name: &str) -> bool {
    is_part(name, ".")
}

fn is_part(name: &str, prefix: &str) -> bool {
    name.starts_with(prefix) && name.ends_with(PART)
}

fn folder_and_name(path: &Path) -> Result<(&Path, String)> {
    let name = path.file_name().ok_or_else(|| Error::input("is not the name of a file").at(path))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok((folder, name.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        write(&path, b"old").unwrap();
        write_json(&path, &serde_json::json!({"a": 1})).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\n  \"a\": 1\n}\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("no/such/run.json"), b"x").unwrap_err();
        assert!(error.to_string().contains("run.json"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_is_as_readable_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, b"x").unwrap();
        let ours = folder.path().join("ours");
        write(&ours, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[test]
    fn sweeping_takes_the_leftovers_of_that_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".run.json.Ab12.part", ".other.json.Ab12.part", "run.json", "mine.part"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        sweep(&folder.path().join("run.json")).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [".other.json.Ab12.part", "mine.part", "run.json"]);
    }
}
