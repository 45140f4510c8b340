//! Pictures small enough to stand in a page.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageReader, Rgb, RgbImage};
use rayon::prelude::*;

use crate::evalset::{EvalSet, ImageBytes};

/// What all pictures of a page may take, before they are written as text.
const MOST_BYTES: usize = 3 << 20;
/// The longest side in pixels; the next smaller one where all together would be too large.
const SIDES: [u32; 4] = [320, 240, 160, 96];
const QUALITY: u8 = 75;
/// A PNG of no more bytes and no longer sides stays what it is: drawings are small and lose by JPEG.
const SMALL_PNG: usize = 24 << 10;

/// A picture as a page holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thumbnail {
    /// A `data:` address.
    pub address: String,
    pub width: u32,
    pub height: u32,
}

/// The pictures of an evalset by name, each or why there is none; the longest side of all, and how many bytes they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Thumbnails {
    pub by_name: BTreeMap<String, Result<Thumbnail, String>>,
    pub side: u32,
    pub bytes: usize,
}

/// A picture as it is in its file, and its pixels.
type Decoded = (ImageBytes, DynamicImage);

/// An encoded picture: its bytes, their type, width and height.
type Encoded = (Vec<u8>, &'static str, u32, u32);

impl Thumbnails {
    /// As large as all of them together may be; those that do not even fit when they are smallest are left out from the end.
    pub fn of(evalset: &EvalSet) -> Self {
        let pictures: Vec<(&str, Result<Decoded, String>)> =
            evalset.image_names().into_par_iter().map(|name| (name, decoded(evalset, name))).collect();
        let mut thumbnails = Self::default();
        for side in SIDES {
            let encoded: Vec<Result<Encoded, String>> = pictures
                .par_iter()
                .map(|(_, picture)| {
                    picture.as_ref().map_err(Clone::clone).and_then(|(bytes, picture)| small(bytes, picture, side))
                })
                .collect();
            let bytes: usize = encoded.iter().flatten().map(|(bytes, ..)| bytes.len()).sum();
            if bytes > MOST_BYTES && side != SIDES[SIDES.len() - 1] {
                continue;
            }
            thumbnails.side = side;
            for ((name, _), one) in pictures.iter().zip(encoded) {
                let one = one.and_then(|encoded| thumbnails.admit(encoded));
                thumbnails.by_name.insert((*name).to_owned(), one);
            }
            break;
        }
        thumbnails
    }

    fn admit(&mut self, (bytes, kind, width, height): Encoded) -> Result<Thumbnail, String> {
        if self.bytes + bytes.len() > MOST_BYTES {
            return Err("left out: the page would be too large".to_owned());
        }
        self.bytes += bytes.len();
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        Ok(Thumbnail { address: format!("data:image/{kind};base64,{text}"), width, height })
    }
}

/// A decoder that gives up on a file is no reason to give up the report.
fn decoded(evalset: &EvalSet, name: &str) -> Result<(ImageBytes, DynamicImage), String> {
    let bytes = evalset.images.read(name).map_err(|error| error.problem.to_string())?;
    let facts = bytes.facts().map_err(|error| error.problem.to_string())?;
    let corrupt = |error: image::ImageError| format!("is corrupt: {error}");
    let decode = || {
        let reader = ImageReader::with_format(Cursor::new(&bytes.bytes[..]), facts.format);
        let mut decoder = reader.into_decoder().map_err(corrupt)?;
        let orientation = decoder.orientation().map_err(corrupt)?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(corrupt)?;
        picture.apply_orientation(orientation);
        Ok::<_, String>(picture)
    };
    let picture =
        catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("the decoder gave up on it".to_owned()))?;
    Ok((bytes, picture))
}

fn small(bytes: &ImageBytes, picture: &DynamicImage, side: u32) -> Result<Encoded, String> {
    let (width, height) = (picture.width(), picture.height());
    let is_png = bytes.bytes.starts_with(b"\x89PNG");
    if is_png && bytes.bytes.len() <= SMALL_PNG && width.max(height) <= side {
        return Ok((bytes.bytes.to_vec(), "png", width, height));
    }
    // Triangles are made of sums and products alone, so that every machine gives the same pixels.
    let picture =
        if width.max(height) > side { picture.resize(side, side, FilterType::Triangle) } else { picture.clone() };
    let pixels = on_white(&picture);
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, QUALITY)
        .encode_image(&pixels)
        .map_err(|error| format!("cannot be made smaller: {error}"))?;
    Ok((out, "jpeg", pixels.width(), pixels.height()))
}

/// JPEG knows no transparency.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let pixels = picture.to_rgba8();
    RgbImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let [red, green, blue, alpha] = pixels.get_pixel(x, y).0;
        let over =
            |value: u8| ((u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
        Rgb([red, green, blue].map(over))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(picture: &DynamicImage, format: image::ImageFormat) -> ImageBytes {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        ImageBytes { name: "p".to_owned(), bytes: bytes.into_inner().into(), sha256: String::new() }
    }

    #[test]
    fn a_large_picture_becomes_a_small_jpeg_and_a_small_png_stays() {
        let large =
            DynamicImage::ImageRgb8(RgbImage::from_fn(900, 600, |x, y| Rgb([(x % 256) as u8, (y % 256) as u8, 7])));
        let (bytes, kind, width, height) = small(&encoded(&large, image::ImageFormat::Png), &large, 320).unwrap();
        assert_eq!((kind, width, height), ("jpeg", 320, 213));
        assert_eq!(bytes, small(&encoded(&large, image::ImageFormat::Png), &large, 320).unwrap().0);
        let little = DynamicImage::ImageRgb8(RgbImage::new(30, 20));
        let png = encoded(&little, image::ImageFormat::Png);
        let (bytes, kind, width, height) = small(&png, &little, 320).unwrap();
        assert_eq!((bytes.as_slice(), kind, width, height), (&*png.bytes, "png", 30, 20));
    }

    #[test]
    fn what_can_be_seen_through_is_put_on_white() {
        let pixels = [[0, 0, 0, 0], [10, 20, 30, 255], [0, 0, 0, 51]];
        let picture = image::RgbaImage::from_fn(3, 1, |x, _| image::Rgba(pixels[x as usize]));
        let seen = on_white(&DynamicImage::ImageRgba8(picture));
        let seen: Vec<[u8; 3]> = seen.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(seen, [[255; 3], [10, 20, 30], [204; 3]]);
    }

    #[test]
    fn pictures_beyond_what_a_page_may_hold_are_left_out_with_the_reason() {
        let mut thumbnails = Thumbnails { bytes: MOST_BYTES - 10, ..Thumbnails::default() };
        assert!(thumbnails.admit((vec![0; 10], "png", 1, 1)).is_ok());
        assert_eq!(thumbnails.admit((vec![0], "png", 1, 1)).unwrap_err(), "left out: the page would be too large");
        assert_eq!(thumbnails.bytes, MOST_BYTES);
    }
}
