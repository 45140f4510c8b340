//! Picture files -> [`RawImage`], in the mode that Pillow opens them in.
//!
//! The format is told by the content, never by the name. The number of pixels is read from the header and checked
//! before a single row is decoded, so a small file that claims a gigantic picture costs nothing.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::ImageDecoder;
use image::codecs::{bmp::BmpDecoder, webp::WebPDecoder};
use jpeg_decoder::{Decoder as JpegDecoder, PixelFormat};

use crate::error::{Error, Result};

use super::modes::{Mode, RawImage, Samples, palette_from_rgb};

/// Pictures of more pixels are refused: 64 megapixels, eight times a good camera's picture.
pub const DEFAULT_PIXEL_LIMIT: u64 = 64_000_000;

/// Decodes the first frame of a PNG, JPEG, GIF, WebP or BMP file.
///
/// # Errors
/// Names the picture: unknown format, no pixels, more pixels than `pixel_limit`, broken or truncated data.
pub fn decode(bytes: &[u8], name: &str, pixel_limit: u64) -> Result<RawImage> {
    let source = Source { bytes, name, pixel_limit };
    // Broken data must not take the whole run down, even where a decoder has a defect of its own.
    catch_unwind(AssertUnwindSafe(|| decode_unguarded(&source)))
        .unwrap_or_else(|_| Err(source.broken("the decoder gave up on it")))
}

fn decode_unguarded(source: &Source) -> Result<RawImage> {
    match source.bytes {
        [0x89, b'P', b'N', b'G', ..] => png(source),
        [0xFF, 0xD8, 0xFF, ..] => jpeg(source),
        [b'G', b'I', b'F', b'8', ..] => gif(source),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(source),
        [b'B', b'M', ..] => bmp(source),
        [] => Err(Error::input(format!("picture {} is empty", source.name))),
        _ => Err(Error::input(format!("picture {} is in a format that is not supported", source.name))
            .remedy("give a PNG, JPEG, GIF, WebP or BMP file")),
    }
}

/// A picture file and what to say about it.
struct Source<'a> {
    bytes: &'a [u8],
    name: &'a str,
    pixel_limit: u64,
}

impl Source<'_> {
    fn broken(&self, why: impl std::fmt::Display) -> Error {
        Error::input(format!("picture {} cannot be decoded: {why}", self.name))
    }

    /// Must be called with the size in the header before anything is decoded.
    fn check_size(&self, width: u64, height: u64) -> Result<()> {
        if width == 0 || height == 0 {
            return Err(self.broken(format!("it is {width} x {height} pixels")));
        }
        if width.saturating_mul(height) > self.pixel_limit {
            return Err(Error::input(format!(
                "picture {} is {width} x {height} pixels, more than the limit of {} pixels",
                self.name, self.pixel_limit
            ))
            .remedy("scale the picture down"));
        }
        Ok(())
    }
}

fn png(source: &Source) -> Result<RawImage> {
    use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

    // Sixteen-bit RGBA is the widest pixel; the rest is for the decoder's own tables.
    let limit = source.pixel_limit.saturating_mul(8).saturating_add(1 << 20);
    let limits = Limits { bytes: usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut decoder = Decoder::new_with_limits(Cursor::new(source.bytes), limits);
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(|error| source.broken(error))?;
    let (width, height) = (header.width, header.height);
    source.check_size(width.into(), height.into())?;
    let mut reader = decoder.read_info().map_err(|error| source.broken(error))?;
    let length = reader.output_buffer_size().ok_or_else(|| source.broken("its rows are too long"))?;
    let mut buffer = vec![0; length];
    let output = reader.next_frame(&mut buffer).map_err(|error| source.broken(error))?;
    // An animation's first frame may be smaller than its canvas; the default image never is.
    if (output.width, output.height) != (width, height) {
        return Err(source.broken("its first frame is not of the size in its header"));
    }
    buffer.truncate(output.buffer_size());
    let (width, height) = (width as usize, height as usize);
    let high_bytes = |buffer: &[u8]| buffer.chunks_exact(2).map(|pair| pair[0]).collect::<Vec<u8>>();
    let image = match (output.color_type, output.bit_depth) {
        (ColorType::Grayscale, BitDepth::One) => {
            let bits = unpack_bits(&buffer, output.line_size, width, height, 1);
            let samples = bits.into_iter().map(|bit| bit * 255).collect();
            RawImage::bytes(Mode::Bilevel, width, height, samples)
        }
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            let values = buffer.chunks_exact(2).map(|pair| i32::from(u16::from_be_bytes([pair[0], pair[1]])));
            let samples = Samples::Integer(values.collect());
            RawImage { mode: Mode::Integer, width, height, samples, palette: None }
        }
        (ColorType::Grayscale, BitDepth::Eight) => RawImage::bytes(Mode::Luma, width, height, buffer),
        (ColorType::Grayscale, depth) => {
            let bits = depth as u8;
            let scale = 255 / ((1u16 << bits) - 1) as u8;
            let samples = unpack_bits(&buffer, output.line_size, width, height, bits);
            RawImage::bytes(Mode::Luma, width, height, samples.into_iter().map(|value| value * scale).collect())
        }
        (ColorType::Indexed, depth) => {
            let palette = reader.info().palette.as_deref().ok_or_else(|| source.broken("its palette is missing"))?;
            let palette = palette_from_rgb(palette);
            let indices = unpack_bits(&buffer, output.line_size, width, height, depth as u8);
            RawImage { palette: Some(palette), ..RawImage::bytes(Mode::Palette, width, height, indices) }
        }
        (ColorType::Rgb, BitDepth::Sixteen) => RawImage::bytes(Mode::Rgb, width, height, high_bytes(&buffer)),
        (ColorType::Rgb, _) => RawImage::bytes(Mode::Rgb, width, height, buffer),
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => {
            // Pillow has no 16-bit LA and opens it as RGBA.
            let samples = buffer.chunks_exact(4).flat_map(|p| [p[0], p[0], p[0], p[2]]).collect();
            RawImage::bytes(Mode::Rgba, width, height, samples)
        }
        (ColorType::GrayscaleAlpha, _) => RawImage::bytes(Mode::LumaAlpha, width, height, buffer),
        (ColorType::Rgba, BitDepth::Sixteen) => RawImage::bytes(Mode::Rgba, width, height, high_bytes(&buffer)),
        (ColorType::Rgba, _) => RawImage::bytes(Mode::Rgba, width, height, buffer),
    };
    Ok(image)
}

/// One byte a sample from rows that hold `bits` (1, 2, 4 or 8) a sample, the first sample in the highest bits.
fn unpack_bits(buffer: &[u8], line_size: usize, width: usize, height: usize, bits: u8) -> Vec<u8> {
    let per_byte = usize::from(8 / bits);
    let mask = ((1u16 << bits) - 1) as u8;
    let mut samples = Vec::with_capacity(width * height);
    for row in buffer.chunks_exact(line_size).take(height) {
        samples.extend((0..width).map(|column| {
            let shift = 8 - bits * (column % per_byte + 1) as u8;
            (row[column / per_byte] >> shift) & mask
        }));
    }
    samples
}

/// By `jpeg-decoder`, whose chroma upsampling is libjpeg's ("fancy"): the decoder of the `image` crate rounds chroma
/// twice and comes out a level farther from Pillow.
fn jpeg(source: &Source) -> Result<RawImage> {
    let mut decoder = JpegDecoder::new(source.bytes);
    decoder.read_info().map_err(|error| source.broken(error))?;
    let info = decoder.info().ok_or_else(|| source.broken("its header is missing"))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    source.check_size(width as u64, height as u64)?;
    let mode = match info.pixel_format {
        PixelFormat::L8 => Mode::Luma,
        PixelFormat::RGB24 => Mode::Rgb,
        // The decoder inverts the inks, as Pillow does: it takes every CMYK JPEG for one of Adobe's.
        PixelFormat::CMYK32 => Mode::Cmyk,
        PixelFormat::L16 => return Err(source.broken("pixels of 16 bits are not supported")),
    };
    let samples = decoder.decode().map_err(|error| source.broken(error))?;
    if samples.len() != width * height * mode.channels() {
        return Err(source.broken("it holds another number of samples than its header says"));
    }
    Ok(RawImage::bytes(mode, width, height, samples))
}

fn gif(source: &Source) -> Result<RawImage> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    let mut decoder = options.read_info(Cursor::new(source.bytes)).map_err(|error| source.broken(error))?;
    let screen = (usize::from(decoder.width()), usize::from(decoder.height()));
    let frame = decoder
        .next_frame_info()
        .map_err(|error| source.broken(error))?
        .ok_or_else(|| source.broken("it holds no frame"))?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let background = frame.transparent.unwrap_or(0);
    // A frame that reaches over the screen widens it.
    let width = screen.0.max(left + frame_width);
    let height = screen.1.max(top + frame_height);
    source.check_size(width as u64, height as u64)?;
    if frame_width == 0 || frame_height == 0 {
        return Err(source.broken("its first frame is empty"));
    }
    let colours = decoder.palette().map_err(|error| source.broken(error))?.to_vec();
    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(|error| source.broken(error))?;
    let mut canvas = vec![background; width * height];
    for (row, line) in indices.chunks_exact(frame_width).take(frame_height).enumerate() {
        let start = (top + row) * width + left;
        canvas[start..start + frame_width].copy_from_slice(line);
    }
    // Pillow opens a picture whose palette is the gray ramp itself as gray, which is then interpolated.
    let is_gray_ramp = colours.chunks_exact(3).enumerate().all(|(index, rgb)| rgb == [index as u8; 3]);
    if is_gray_ramp {
        return Ok(RawImage::bytes(Mode::Luma, width, height, canvas));
    }
    let palette = Some(palette_from_rgb(&colours));
    Ok(RawImage { palette, ..RawImage::bytes(Mode::Palette, width, height, canvas) })
}

fn webp(source: &Source) -> Result<RawImage> {
    let decoder = WebPDecoder::new(Cursor::new(source.bytes)).map_err(|error| source.broken(error))?;
    read_with_image(source, decoder, Mode::Rgb)
}

fn bmp(source: &Source) -> Result<RawImage> {
    let mut decoder = BmpDecoder::new(Cursor::new(source.bytes)).map_err(|error| source.broken(error))?;
    let Some(colours) = decoder.get_palette().map(<[[u8; 3]]>::to_vec) else {
        return read_with_image(source, decoder, Mode::Rgb);
    };
    decoder.set_indexed_color(true);
    let indexed = read_with_image(source, decoder, Mode::Luma)?;
    let is_gray_ramp = colours.iter().enumerate().all(|(index, rgb)| *rgb == [index as u8; 3]);
    if is_gray_ramp {
        return Ok(indexed);
    }
    let (mode, palette) = (Mode::Palette, Some(palette_from_rgb(colours.as_flattened())));
    if let ([[0, 0, 0], [255, 255, 255]], Samples::Byte(indices)) = (colours.as_slice(), &indexed.samples) {
        let samples = indices.iter().map(|&index| if index == 0 { 0 } else { 255 }).collect();
        return Ok(RawImage::bytes(Mode::Bilevel, indexed.width, indexed.height, samples));
    }
    Ok(RawImage { mode, palette, ..indexed })
}

/// `opaque` is the mode when the decoder's pixels have no alpha.
fn read_with_image(source: &Source, decoder: impl ImageDecoder, opaque: Mode) -> Result<RawImage> {
    let (width, height) = decoder.dimensions();
    source.check_size(width.into(), height.into())?;
    let mode = match decoder.color_type() {
        image::ColorType::Rgba8 => Mode::Rgba,
        image::ColorType::Rgb8 => Mode::Rgb,
        image::ColorType::L8 => opaque,
        other => return Err(source.broken(format!("pixels of the kind {other:?} are not supported"))),
    };
    let (width, height) = (width as usize, height as usize);
    let length = width * height * mode.channels();
    if decoder.total_bytes() != length as u64 {
        return Err(source.broken("it holds another number of samples than its header says"));
    }
    let mut samples = vec![0; length];
    decoder.read_image(&mut samples).map_err(|error| source.broken(error))?;
    Ok(RawImage::bytes(mode, width, height, samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder};
    use proptest::prelude::*;

    fn png_of(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = vec![90; (width * height * 3) as usize];
        image::codecs::png::PngEncoder::new(&mut bytes)
            .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    fn webp_of(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..width * height * 4).map(|i| i as u8).collect();
        image::codecs::webp::WebPEncoder::new_lossless(&mut bytes)
            .write_image(&pixels, width, height, ExtendedColorType::Rgba8)
            .unwrap();
        bytes
    }

    #[test]
    fn the_limit_is_checked_before_decoding_and_the_error_names_all() {
        let error = decode(&png_of(30, 20), "big.jpg", 599).unwrap_err();
        assert_eq!(error.message(), "picture big.jpg is 30 x 20 pixels, more than the limit of 599 pixels");
        assert!(decode(&png_of(30, 20), "big.jpg", 600).is_ok());
        // A header that claims 4 gigapixels, and no data at all.
        let mut claims = png_of(1, 1);
        claims[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let checksum = crc32(&claims[12..29]);
        claims[29..33].copy_from_slice(&checksum.to_be_bytes());
        let error = decode(&claims, "huge.png", DEFAULT_PIXEL_LIMIT).unwrap_err();
        assert!(error.message().contains("65536 x 65536"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    }

    #[test]
    fn text_is_refused_with_the_formats_that_would_do() {
        let error = decode(b"<svg/>", "drawing.png", DEFAULT_PIXEL_LIMIT).unwrap_err();
        assert!(error.message().contains("drawing.png"));
        assert!(error.remedy_text().unwrap().contains("JPEG"));
    }

    #[test]
    fn webp_keeps_its_alpha_channel() {
        let image = decode(&webp_of(6, 5), "a.webp", DEFAULT_PIXEL_LIMIT).unwrap();
        assert_eq!((image.mode, image.width, image.height), (Mode::Rgba, 6, 5));
    }

    #[test]
    fn a_paletted_bitmap_keeps_its_indices() {
        let palette = [[200, 0, 0], [0, 0, 99], [1, 2, 3]];
        let mut bytes = Vec::new();
        image::codecs::bmp::BmpEncoder::new(&mut bytes)
            .encode_with_palette(&[0, 1, 2, 2, 1, 0], 3, 2, ExtendedColorType::L8, Some(&palette))
            .unwrap();
        let image = decode(&bytes, "a.bmp", DEFAULT_PIXEL_LIMIT).unwrap();
        assert_eq!(image.mode, Mode::Palette);
        assert_eq!(image.samples, Samples::Byte(vec![0, 1, 2, 2, 1, 0]));
        assert_eq!(image.to_rgb().pixels[..6], [200, 0, 0, 0, 0, 99]);
    }

    #[test]
    fn a_frame_that_does_not_fill_the_screen_leaves_the_rest_transparent() {
        let mut bytes = Vec::new();
        let mut encoder = gif::Encoder::new(&mut bytes, 4, 3, &[9, 9, 9, 50, 60, 70]).unwrap();
        let frame = gif::Frame {
            left: 1,
            top: 1,
            width: 2,
            height: 1,
            transparent: Some(1),
            buffer: vec![0, 0].into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
        drop(encoder);
        let image = decode(&bytes, "a.gif", DEFAULT_PIXEL_LIMIT).unwrap();
        assert_eq!(image.samples, Samples::Byte(vec![1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1]));
    }

    #[test]
    fn small_bit_depths_are_unpacked_from_the_highest_bits() {
        assert_eq!(unpack_bits(&[0b1011_0000, 0b0100_0000], 1, 3, 2, 1), [1, 0, 1, 0, 1, 0]);
        assert_eq!(unpack_bits(&[0x12, 0x30], 2, 3, 1, 4), [1, 2, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn arbitrary_bytes_behind_any_signature_never_panic(
            signature in prop::sample::select(vec![
                &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"RIFF\0\0\0\0WEBPVP8L", b"BM",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let bytes = [signature, &rest].concat();
            let _ = decode_unguarded(&Source { bytes: &bytes, name: "noise", pixel_limit: 1 << 20 });
        }

        #[test]
        fn flipped_bytes_never_panic(position in 0usize..10_000, value: u8, which in 0usize..2) {
            let mut bytes = if which == 0 { png_of(9, 7) } else { webp_of(9, 7) };
            let position = position % bytes.len();
            bytes[position] = value;
            let _ = decode_unguarded(&Source { bytes: &bytes, name: "noise", pixel_limit: 1 << 20 });
        }
    }
}
