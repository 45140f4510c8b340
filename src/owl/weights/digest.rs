//! The digest of a model's weights, as it stands in the manifest of a run.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{IoContext, Result};

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// Lower-case sha256 of bytes in memory.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Lower-case sha256 of a file, read piece by piece.
pub(in crate::owl) fn of_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).or_at("cannot open", path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = file.read(&mut buffer).or_at("cannot read", path)?;
        if read == 0 {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

/// One digest for several files: that of the one file itself, or of the lines `<sha256>  <name>` in the order of the
/// names, as `sha256sum` prints them, so that both can be checked with standard tools.
pub(super) fn combine(mut files: Vec<(String, String)>) -> String {
    files.sort();
    match files.as_slice() {
        [(_, digest)] => digest.clone(),
        _ => of_bytes(files.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect::<String>().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_its_own_digest_and_several_the_digest_of_their_list() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), abc);
        assert_eq!(combine(vec![("model.safetensors".into(), abc.into())]), abc);
        let two = combine(vec![("b".into(), abc.into()), ("a".into(), "00".into())]);
        assert_eq!(two, of_bytes(format!("00  a\n{abc}  b\n").as_bytes()));
    }
}
