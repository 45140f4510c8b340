//! The pictures of an evalset: read from below their folder only, within limits, and looked at before they are decoded.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use ::image::{ImageFormat, ImageReader};
use sha2::{Digest, Sha256};

use super::confined::{self, ReadFailure};
use super::source::{embedded, embedded_names};
use super::{EvalSet, ImageBytes, ImageRoot, Item};
use crate::error::{Error, Result};

/// No picture file is larger (64 MiB).
pub const MAX_IMAGE_BYTES: u64 = 64 << 20;

/// No picture has more pixels: a quarter of a gibibyte at three bytes a pixel, which is also where Pillow, the reader of
/// the reference, begins to warn of decompression bombs (`PIL.Image.MAX_IMAGE_PIXELS`).
pub const MAX_IMAGE_PIXELS: u64 = (1 << 28) / 3;

/// The formats that are read.
const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp];

/// What the header of a picture says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageFacts {
    /// By content, whatever the name of the file says.
    pub format: ImageFormat,
    pub width: u32,
    pub height: u32,
}

/// Why a picture cannot be shown to a model.
#[derive(Debug, thiserror::Error)]
#[error("picture {name} {problem}")]
pub struct ImageError {
    pub name: String,
    pub problem: ImageProblem,
}

/// What is wrong with a picture.
#[derive(Debug, thiserror::Error)]
pub enum ImageProblem {
    #[error("is missing")]
    Missing,
    #[error("leads out of the image folder")]
    Leaves,
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("is larger than {MAX_IMAGE_BYTES} bytes")]
    TooManyBytes,
    #[error("has {width} x {height} pixels, more than {MAX_IMAGE_PIXELS}")]
    TooManyPixels { width: u32, height: u32 },
    #[error("is empty")]
    Empty,
    #[error("is in no known format (PNG, JPEG, GIF, WebP, BMP)")]
    UnknownFormat,
    #[error("is corrupt: {0}")]
    Corrupt(String),
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Self {
        let remedy = match error.problem {
            ImageProblem::Missing | ImageProblem::Leaves => "put the file into the image folder of the evalset",
            ImageProblem::TooManyBytes | ImageProblem::TooManyPixels { .. } => "scale the picture down",
            ImageProblem::UnknownFormat => "save the picture as PNG or JPEG",
            ImageProblem::Empty | ImageProblem::Corrupt(_) | ImageProblem::Unreadable(_) => "get the file again",
        };
        Error::input(error.to_string()).remedy(remedy).source(error)
    }
}

impl ImageRoot {
    /// The bytes of a picture, at most `limit`, as they lie on the disk or in the binary.
    pub(super) fn encoded(&self, name: &str, limit: u64) -> Result<Cow<'static, [u8]>, ImageProblem> {
        match self {
            Self::Folder(folder) => confined::read(folder, name, limit).map(Cow::Owned),
            // Built-in evalsets keep their pictures in `cases`; a test sees to it.
            Self::Embedded(evalset) => {
                if !confined::is_confined_name(name) {
                    return Err(ImageProblem::Leaves);
                }
                embedded(evalset, &format!("cases/{name}"), limit).map(Cow::Borrowed)
            }
        }
        .map_err(ImageProblem::from)
    }

    /// Reads a picture and looks at its header: it is below the folder, within [`MAX_IMAGE_BYTES`] and
    /// [`MAX_IMAGE_PIXELS`], and in a known format. Its pixels are not decoded.
    ///
    /// # Errors
    /// With the name of the picture and what is wrong with it; the other pictures can be read all the same.
    pub fn read(&self, name: &str) -> Result<ImageBytes, ImageError> {
        let named = |problem| ImageError { name: name.to_owned(), problem };
        ImageBytes::inspected(name, &self.encoded(name, MAX_IMAGE_BYTES).map_err(named)?)
    }

    /// The file names directly in the image folder, sorted; empty where it cannot be listed.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = match self {
            Self::Embedded(evalset) => embedded_names(evalset, "cases"),
            Self::Folder(folder) => names_in(folder),
        };
        names.sort();
        names
    }
}

impl EvalSet {
    /// The pictures of an item, in order; see [`ImageRoot::read`].
    ///
    /// # Errors
    /// The first picture that cannot be shown to a model.
    pub fn pictures(&self, item: &Item) -> Result<Vec<ImageBytes>, ImageError> {
        item.images.iter().map(|name| self.images.read(name)).collect()
    }
}

impl ImageBytes {
    /// The bytes of a picture file, after a look at its header.
    ///
    /// # Errors
    /// As [`inspect`].
    pub fn inspected(name: &str, bytes: &[u8]) -> Result<Self, ImageError> {
        inspect(bytes).map_err(|problem| ImageError { name: name.to_owned(), problem })?;
        Ok(Self { name: name.to_owned(), bytes: Arc::from(bytes), sha256: hex::encode(Sha256::digest(bytes)) })
    }

    /// Format and size by the header.
    ///
    /// # Errors
    /// Where the bytes are no picture of a known format, or one of too many pixels.
    pub fn facts(&self) -> Result<ImageFacts, ImageError> {
        inspect(&self.bytes).map_err(|problem| ImageError { name: self.name.clone(), problem })
    }
}

/// Reads format and size from the header, without decoding pixels.
///
/// # Errors
/// Where the bytes are no picture of a known format, or one of too many pixels.
pub fn inspect(bytes: &[u8]) -> Result<ImageFacts, ImageProblem> {
    if bytes.is_empty() {
        return Err(ImageProblem::Empty);
    }
    let format = ::image::guess_format(bytes).map_err(|_| ImageProblem::UnknownFormat)?;
    if !FORMATS.contains(&format) {
        return Err(ImageProblem::UnknownFormat);
    }
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader.into_dimensions().map_err(|error| ImageProblem::Corrupt(error.to_string()))?;
    if width == 0 || height == 0 {
        return Err(ImageProblem::Corrupt("it has no pixels".to_owned()));
    }
    if u64::from(width) * u64::from(height) > MAX_IMAGE_PIXELS {
        return Err(ImageProblem::TooManyPixels { width, height });
    }
    Ok(ImageFacts { format, width, height })
}

/// Decodes a picture whose header was found good, to see whether all of it is there.
pub(super) fn decode(bytes: &[u8], facts: ImageFacts) -> Result<(), ImageProblem> {
    let reader = ImageReader::with_format(Cursor::new(bytes), facts.format);
    reader.decode().map(drop).map_err(|error| ImageProblem::Corrupt(error.to_string()))
}

impl From<ReadFailure> for ImageProblem {
    fn from(failure: ReadFailure) -> Self {
        match failure {
            ReadFailure::Missing => Self::Missing,
            ReadFailure::Leaves { .. } => Self::Leaves,
            ReadFailure::TooLarge { .. } => Self::TooManyBytes,
            ReadFailure::NotAFile => Self::Unreadable("it is not a plain file".to_owned()),
            ReadFailure::Unreadable(source) => Self::Unreadable(source.to_string()),
        }
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().filter(|entry| entry.path().is_file());
    files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evalset::fixture;

    #[test]
    fn format_and_size_come_from_the_content() {
        for format in FORMATS {
            let facts = inspect(&fixture::picture(format, [1, 2, 3])).expect("a picture");
            assert_eq!(facts, ImageFacts { format, width: 12, height: 8 });
        }
    }

    #[test]
    fn what_is_no_picture_or_too_large_is_refused_before_decoding() {
        let png = fixture::picture(ImageFormat::Png, [1, 2, 3]);
        assert!(matches!(inspect(b""), Err(ImageProblem::Empty)));
        assert!(matches!(inspect(b"<svg/>"), Err(ImageProblem::UnknownFormat)));
        assert!(matches!(inspect(b"II*\0\x08\0\0\0"), Err(ImageProblem::UnknownFormat)));
        assert!(matches!(inspect(&png[..20]), Err(ImageProblem::Corrupt(_))));
        let side = 1 << 14;
        assert!(matches!(inspect(&fixture::gigantic_png(side, side)), Err(ImageProblem::TooManyPixels { .. })));
        assert!(inspect(&fixture::gigantic_png(u32::MAX >> 1, u32::MAX >> 1)).is_err());
        assert!(inspect(&fixture::gigantic_png(9_000, 9_000)).is_ok());
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = std::fs::File::create(folder.path().join("long.png")).expect("a file");
        file.set_len(MAX_IMAGE_BYTES + 1).expect("a sparse file");
        let error = ImageRoot::Folder(folder.path().to_owned()).read("long.png").expect_err("refused");
        assert!(matches!(error.problem, ImageProblem::TooManyBytes));
    }
}
