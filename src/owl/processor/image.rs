//! From the bytes of a picture file to the RGB square that the vision tower sees (section 8.1 of the specification).
//!
//! The order is the reference's: open, resize in the file's own mode to a square (the aspect ratio is not kept, EXIF
//! orientation is not applied), and only then convert to RGB. An animation counts as its first frame.
//!
//! Agreement with Pillow 9.5.0 at 224 x 224, over all pixels, measured by `tests/it/parity_preprocess.rs`:
//!
//! | fixtures | largest difference, levels | mean difference, levels |
//! |---|---|---|
//! | PNG and GIF in every mode | 0, and `pixel_values` bit-equal (sha256) | 0 |
//! | five OwlEval photographs (JPEG) | 3 | 0.007 to 0.096 |
//! | `cmyk.jpg` | 2 | 0.010 |
//! | `gray8.jpg` (each 7th pixel only) | 1 | 0.005 |
//! | `exif_orient6.jpg` | 4 | 0.377 |
//!
//! All that is left comes from the JPEG decoder. Ours rounds subsampled chroma twice where libjpeg-turbo rounds once,
//! and its inverse transform differs by a level here and there; `exif_orient6.jpg`, noisy, with quartered chroma and
//! enlarged, shows both most. It is one level over the 3 that another decoder is usually granted.

use crate::error::Result;

use super::decode::{DEFAULT_PIXEL_LIMIT, decode};
use super::resize::resize;

/// An 8-bit RGB picture, `height * width * 3` bytes, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

/// Decodes a picture and brings it to `size` x `size`, as the reference does for inference.
///
/// `name` is used in errors only; the format is told by the content.
///
/// # Errors
/// A format that is not supported, a broken or truncated file, or more pixels than [`DEFAULT_PIXEL_LIMIT`], which is
/// checked before anything is decoded.
pub fn decode_and_resize(bytes: &[u8], name: &str, size: usize) -> Result<RgbImage> {
    decode_and_resize_within(bytes, name, size, DEFAULT_PIXEL_LIMIT)
}

/// [`decode_and_resize`] with another limit of pixels.
pub fn decode_and_resize_within(bytes: &[u8], name: &str, size: usize, pixel_limit: u64) -> Result<RgbImage> {
    let image = decode(bytes, name, pixel_limit)?;
    Ok(resize(&image, size, size).to_rgb())
}
