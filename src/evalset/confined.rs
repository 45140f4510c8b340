//! Files that are named by others, read from below one folder only.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Why a named file was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadFailure {
    #[error("leads out of {}", folder.display())]
    Leaves { folder: PathBuf },
    #[error("is missing")]
    Missing,
    #[error("is not a plain file")]
    NotAFile,
    #[error("is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
}

/// Whether a name is a relative path of plain parts: no `..`, no root, no drive, no backslash (which is a separator
/// on one system and a letter on another), no NUL.
pub(super) fn is_confined_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['\\', '\0'])
        && !name.ends_with('/')
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Reads a file below `folder`, following symbolic links only where they stay below it. Pipes and devices are refused
/// before they are opened, and no more than `limit` bytes are read.
pub(super) fn read(folder: &Path, name: &str, limit: u64) -> Result<Vec<u8>, ReadFailure> {
    let path = resolve(folder, name)?;
    let file = std::fs::File::open(&path).map_err(failure)?;
    let length = file.metadata().map_err(failure)?.len();
    if length > limit {
        return Err(ReadFailure::TooLarge { limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // The file may grow while it is read, so the limit is kept here too.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failure)?;
    if bytes.len() as u64 > limit {
        return Err(ReadFailure::TooLarge { limit });
    }
    Ok(bytes)
}

/// The real path of a plain file below `folder`.
pub(super) fn resolve(folder: &Path, name: &str) -> Result<PathBuf, ReadFailure> {
    if !is_confined_name(name) {
        return Err(ReadFailure::Leaves { folder: folder.to_owned() });
    }
    let root = folder.canonicalize().map_err(failure)?;
    let path = root.join(name).canonicalize().map_err(failure)?;
    if !path.starts_with(&root) {
        return Err(ReadFailure::Leaves { folder: folder.to_owned() });
    }
    if !path.metadata().map_err(failure)?.is_file() {
        return Err(ReadFailure::NotAFile);
    }
    Ok(path)
}

fn failure(source: std::io::Error) -> ReadFailure {
    match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => ReadFailure::Missing,
        _ => ReadFailure::Unreadable(source),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("inside/sub")).expect("a folder");
        std::fs::write(folder.path().join("secret"), "secret").expect("a file");
        std::fs::write(folder.path().join("inside/plain"), "plain").expect("a file");
        std::fs::write(folder.path().join("inside/sub/deep"), "deep").expect("a file");
        folder
    }

    #[test]
    fn files_below_the_folder_are_read() {
        let folder = folder();
        let inside = folder.path().join("inside");
        assert_eq!(read(&inside, "plain", 100).expect("read"), b"plain");
        assert_eq!(read(&inside, "sub/deep", 4).expect("read"), b"deep");
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let folder = folder();
        let inside = folder.path().join("inside");
        let absolute = folder.path().join("secret").display().to_string();
        for name in
            ["../secret", "sub/../../secret", "sub/../plain", "/etc/passwd", "./../secret", "..", "", "a\\b", &absolute]
        {
            assert!(matches!(read(&inside, name, 100), Err(ReadFailure::Leaves { .. })), "{name}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_followed_only_where_it_stays_below_the_folder() {
        use std::os::unix::fs::symlink;
        let folder = folder();
        let inside = folder.path().join("inside");
        symlink("../secret", inside.join("out")).expect("a link");
        symlink("..", inside.join("up")).expect("a link");
        symlink("sub/deep", inside.join("within")).expect("a link");
        symlink("loop", inside.join("loop")).expect("a link");
        assert!(matches!(read(&inside, "out", 100), Err(ReadFailure::Leaves { .. })));
        assert!(matches!(read(&inside, "up/secret", 100), Err(ReadFailure::Leaves { .. })));
        assert_eq!(read(&inside, "within", 100).expect("read"), b"deep");
        assert!(matches!(read(&inside, "loop", 100), Err(ReadFailure::Unreadable(_))));
    }

    #[test]
    fn what_is_missing_a_folder_or_too_large_is_said() {
        let folder = folder();
        let inside = folder.path().join("inside");
        assert!(matches!(read(&inside, "nothing", 100), Err(ReadFailure::Missing)));
        assert!(matches!(read(&inside, "plain/below", 100), Err(ReadFailure::Missing)));
        assert!(matches!(read(&inside, "sub", 100), Err(ReadFailure::NotAFile)));
        assert!(matches!(read(&inside, "plain", 4), Err(ReadFailure::TooLarge { limit: 4 })));
    }

    #[test]
    fn no_name_reads_the_file_outside() {
        let folder = folder();
        let inside = folder.path().join("inside");
        let parts = prop::sample::select(vec!["..", ".", "sub", "/", "//", "secret", "inside", "\\", ""]);
        proptest!(|(parts in prop::collection::vec(parts, 0..7))| {
            if let Ok(bytes) = read(&inside, &parts.join("/"), 100) {
                prop_assert_ne!(bytes, b"secret".to_vec());
            }
        });
    }
}
