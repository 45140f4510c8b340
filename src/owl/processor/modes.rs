//! Pictures in the mode that Pillow would open them in, and their conversion to RGB.
//!
//! The reference resizes a picture before it converts it to RGB, so the mode decides what is interpolated: palette
//! indices are never mixed, 16-bit gray is mixed in 16 bits and clipped only afterwards, colours under transparency
//! are weighted by alpha.

use super::image::RgbImage;

/// Pillow's modes, as far as the supported files can have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `1`: black and white, one byte (0 or 255) a pixel.
    Bilevel,
    /// `P`: one palette index a pixel.
    Palette,
    /// `L`: 8-bit gray.
    Luma,
    /// `LA`: gray and alpha.
    LumaAlpha,
    /// `I` (older Pillow) or `I;16`: 16-bit gray, held as 32-bit integers.
    Integer,
    /// `RGB`.
    Rgb,
    /// `RGBA`.
    Rgba,
    /// `CMYK`, 255 = full ink.
    Cmyk,
}

impl Mode {
    /// Samples a pixel.
    pub fn channels(self) -> usize {
        match self {
            Mode::Bilevel | Mode::Palette | Mode::Luma | Mode::Integer => 1,
            Mode::LumaAlpha => 2,
            Mode::Rgb => 3,
            Mode::Rgba | Mode::Cmyk => 4,
        }
    }

    /// Pillow's name of the mode.
    pub fn pillow_name(self) -> &'static str {
        match self {
            Mode::Bilevel => "1",
            Mode::Palette => "P",
            Mode::Luma => "L",
            Mode::LumaAlpha => "LA",
            Mode::Integer => "I",
            Mode::Rgb => "RGB",
            Mode::Rgba => "RGBA",
            Mode::Cmyk => "CMYK",
        }
    }
}

/// The samples of a picture, row by row, channels interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Samples {
    Byte(Vec<u8>),
    /// Only for [`Mode::Integer`].
    Integer(Vec<i32>),
}

/// Up to 256 colours; entries that a file leaves out are Pillow's gray ramp.
pub type Palette = Box<[[u8; 3]; 256]>;

/// A decoded picture in its own mode, `height * width * mode.channels()` samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawImage {
    pub mode: Mode,
    pub width: usize,
    pub height: usize,
    pub samples: Samples,
    /// Present exactly for [`Mode::Palette`].
    pub palette: Option<Palette>,
}

impl RawImage {
    /// A picture of byte samples; `samples` must hold `width * height * channels` of them.
    pub(super) fn bytes(mode: Mode, width: usize, height: usize, samples: Vec<u8>) -> Self {
        debug_assert_eq!(samples.len(), width * height * mode.channels());
        Self { mode, width, height, samples: Samples::Byte(samples), palette: None }
    }

    /// Pillow's `convert("RGB")`: alpha is dropped without any background, gray is repeated, 16-bit gray is clipped
    /// to 255 (not scaled), palette entries are looked up, CMYK goes through [`cmyk_to_rgb`].
    pub fn to_rgb(&self) -> RgbImage {
        let pixels = match &self.samples {
            Samples::Integer(values) => {
                values.iter().flat_map(|&value| [value.clamp(0, 255) as u8; 3]).collect::<Vec<u8>>()
            }
            Samples::Byte(bytes) => match self.mode {
                Mode::Rgb => bytes.clone(),
                Mode::Rgba => bytes.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
                Mode::LumaAlpha => bytes.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
                Mode::Cmyk => bytes.chunks_exact(4).flat_map(|p| cmyk_to_rgb([p[0], p[1], p[2], p[3]])).collect(),
                Mode::Palette => match &self.palette {
                    Some(palette) => bytes.iter().flat_map(|&index| palette[usize::from(index)]).collect(),
                    None => bytes.iter().flat_map(|&value| [value; 3]).collect(),
                },
                Mode::Bilevel | Mode::Luma | Mode::Integer => bytes.iter().flat_map(|&value| [value; 3]).collect(),
            },
        };
        RgbImage { width: self.width, height: self.height, pixels }
    }
}

/// A palette from packed RGB bytes; missing entries are the gray ramp that Pillow starts from.
pub(super) fn palette_from_rgb(bytes: &[u8]) -> Palette {
    let mut palette: Palette = Box::new(std::array::from_fn(|index| [index as u8; 3]));
    for (entry, rgb) in palette.iter_mut().zip(bytes.chunks_exact(3)) {
        *entry = [rgb[0], rgb[1], rgb[2]];
    }
    palette
}

/// `a * b / 255`, rounded as Pillow does it: with t = a b + 128, ((t >> 8) + t) >> 8.
pub(super) fn multiply_divide_255(a: u8, b: u8) -> u8 {
    let t = u32::from(a) * u32::from(b) + 128;
    (((t >> 8) + t) >> 8) as u8
}

/// With n = 255 - K: R = n - C n / 255, and so on, clipped.
fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let n = 255 - black;
    [cyan, magenta, yellow].map(|ink| n.saturating_sub(multiply_divide_255(ink, n)))
}

/// Colours times alpha (`LA` -> `La`, `RGBA` -> `RGBa`), in place.
pub(super) fn premultiply(samples: &mut [u8], channels: usize) {
    for pixel in samples.chunks_exact_mut(channels) {
        let alpha = pixel[channels - 1];
        for value in &mut pixel[..channels - 1] {
            *value = multiply_divide_255(*value, alpha);
        }
    }
}

/// The inverse: floor(255 v / alpha), clipped; v is left alone where alpha is 0 or 255.
pub(super) fn unpremultiply(samples: &mut [u8], channels: usize) {
    for pixel in samples.chunks_exact_mut(channels) {
        let alpha = u32::from(pixel[channels - 1]);
        if alpha != 0 && alpha != 255 {
            for value in &mut pixel[..channels - 1] {
                *value = (255 * u32::from(*value) / alpha).min(255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_by_255_is_rounded_to_nearest() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let exact = f64::from(a) * f64::from(b) / 255.0;
                assert_eq!(multiply_divide_255(a, b), exact.round() as u8, "{a} * {b}");
            }
        }
    }

    #[test]
    fn premultiplying_opaque_pixels_changes_nothing() {
        let mut samples = vec![10, 200, 77, 255, 1, 2, 3, 255];
        let before = samples.clone();
        premultiply(&mut samples, 4);
        unpremultiply(&mut samples, 4);
        assert_eq!(samples, before);
    }

    #[test]
    fn sixteen_bit_gray_is_clipped_and_not_scaled() {
        let image = RawImage {
            mode: Mode::Integer,
            width: 3,
            height: 1,
            samples: Samples::Integer(vec![-5, 100, 65535]),
            palette: None,
        };
        assert_eq!(image.to_rgb().pixels, [0, 0, 0, 100, 100, 100, 255, 255, 255]);
    }

    #[test]
    fn full_black_ink_is_black_and_no_ink_is_white() {
        assert_eq!(cmyk_to_rgb([0, 0, 0, 255]), [0, 0, 0]);
        assert_eq!(cmyk_to_rgb([0, 0, 0, 0]), [255, 255, 255]);
        assert_eq!(cmyk_to_rgb([255, 0, 0, 0]), [0, 255, 255]);
    }
}
