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

/// An encoded picture: its bytes, their type, width and height.
type Encoded = (Vec<u8>, &'static str, u32, u32);

impl Thumbnails {
    /// As large as all of them together may be; those that do not even fit when they are smallest are left out from the end.
    pub fn of(evalset: &EvalSet) -> Self {
        let pictures: Vec<(&str, Result<(ImageBytes, DynamicImage), String>)> =
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
