//! Pillow's resampling, bit for bit: antialiased bicubic (a = -0.5) and nearest neighbour.
//!
//! Libraries that are "like Pillow" differ in a level here and there, and the reference's numbers hang on the exact
//! levels, so the arithmetic is spelled out: coefficients with 22 fractional bits, the horizontal pass first, rounding
//! to 8 bits between the passes, a pass whose size does not change left out.

use super::modes::{Mode, RawImage, Samples, premultiply, unpremultiply};

/// Fractional bits of the fixed-point coefficients: 32 less 8 for the sample and 2 for sign and overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Pillow's bicubic reaches two source pixels to each side (times the scale when it shrinks).
const BICUBIC_SUPPORT: f64 = 2.0;

/// Resizes in the picture's own mode, as Pillow's `Image.resize(size, BICUBIC)`: nearest for `1` and `P`, weighted by
/// alpha for `LA` and `RGBA`, each channel alone otherwise. `width` and `height` are at least 1.
pub fn resize(image: &RawImage, width: usize, height: usize) -> RawImage {
    if (image.width, image.height) == (width, height) {
        return image.clone();
    }
    let channels = image.mode.channels();
    let samples = match (&image.samples, image.mode) {
        (Samples::Byte(bytes), Mode::Bilevel | Mode::Palette) => {
            Samples::Byte(nearest(bytes, image.width, image.height, width, height))
        }
        (Samples::Byte(bytes), Mode::LumaAlpha | Mode::Rgba) => {
            let mut weighted = bytes.clone();
            premultiply(&mut weighted, channels);
            let mut resized = bicubic_bytes(&weighted, image.width, image.height, channels, width, height);
            unpremultiply(&mut resized, channels);
            Samples::Byte(resized)
        }
        (Samples::Byte(bytes), _) => {
            Samples::Byte(bicubic_bytes(bytes, image.width, image.height, channels, width, height))
        }
        (Samples::Integer(values), _) => {
            Samples::Integer(bicubic_integers(values, image.width, image.height, width, height))
        }
    };
    RawImage { mode: image.mode, width, height, samples, palette: image.palette.clone() }
}

/// Bicubic on interleaved bytes `[height, width, channels]` -> `[new_height, new_width, channels]`.
pub(super) fn bicubic_bytes(
    samples: &[u8],
    width: usize,
    height: usize,
    channels: usize,
    new_width: usize,
    new_height: usize,
) -> Vec<u8> {
    // A constant number of channels lets the compiler unroll the innermost loop.
    match channels {
        1 => bicubic_channels::<1>(samples, width, height, new_width, new_height),
        2 => bicubic_channels::<2>(samples, width, height, new_width, new_height),
        3 => bicubic_channels::<3>(samples, width, height, new_width, new_height),
        _ => bicubic_channels::<4>(samples, width, height, new_width, new_height),
    }
}

fn bicubic_channels<const C: usize>(
    samples: &[u8],
    width: usize,
    height: usize,
    new_width: usize,
    new_height: usize,
) -> Vec<u8> {
    let horizontal;
    let mut current = samples;
    if new_width != width {
        let windows = fixed_point(&windows(width, new_width));
        let mut output = Vec::with_capacity(new_width * height * C);
        for row in current.chunks_exact(width * C) {
            for (start, weights) in &windows {
                let mut sums = [1i32 << (PRECISION_BITS - 1); C];
                for (pixel, weight) in row[start * C..].chunks_exact(C).zip(weights) {
                    for (sum, &sample) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(sample) * weight;
                    }
                }
                output.extend(sums.map(clip));
            }
        }
        horizontal = output;
        current = &horizontal;
    }
    if new_height == height {
        return current.to_vec();
    }
    let stride = new_width * C;
    let mut output = Vec::with_capacity(stride * new_height);
    let mut sums = vec![0i32; stride];
    for (start, weights) in fixed_point(&windows(height, new_height)) {
        sums.fill(1i32 << (PRECISION_BITS - 1));
        for (row, weight) in current[start * stride..].chunks_exact(stride).zip(&weights) {
            for (sum, &sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(sample) * weight;
            }
        }
        output.extend(sums.iter().map(|&sum| clip(sum)));
    }
    output
}

/// Bicubic on one channel of 32-bit integers, in float64, rounded half away from zero after each pass and not clipped.
fn bicubic_integers(samples: &[i32], width: usize, height: usize, new_width: usize, new_height: usize) -> Vec<i32> {
    let mut current = samples.to_vec();
    if new_width != width {
        let windows = windows(width, new_width);
        let mut output = Vec::with_capacity(new_width * height);
        for row in current.chunks_exact(width) {
            for (start, weights) in &windows {
                let sum: f64 =
                    row[*start..].iter().zip(weights).map(|(&value, weight)| f64::from(value) * weight).sum();
                output.push(sum.round() as i32);
            }
        }
        current = output;
    }
    if new_height != height {
        let mut output = Vec::with_capacity(new_width * new_height);
        for (start, weights) in windows(height, new_height) {
            for x in 0..new_width {
                let column = current[start * new_width + x..].iter().step_by(new_width);
                let sum: f64 = column.zip(&weights).map(|(&value, weight)| f64::from(value) * weight).sum();
                output.push(sum.round() as i32);
            }
        }
        current = output;
    }
    current
}

/// Nearest neighbour on one byte a pixel: the source of output x is floor((x + 0.5) * scale), with the position
/// accumulated by additions as Pillow does it.
fn nearest(samples: &[u8], width: usize, height: usize, new_width: usize, new_height: usize) -> Vec<u8> {
    let columns = nearest_sources(width, new_width);
    let mut output = Vec::with_capacity(new_width * new_height);
    for row in nearest_sources(height, new_height) {
        let line = row.map(|row| &samples[row * width..(row + 1) * width]);
        output.extend(columns.iter().map(|column| match (line, column) {
            (Some(line), Some(column)) => line[*column],
            _ => 0,
        }));
    }
    output
}

fn nearest_sources(length: usize, new_length: usize) -> Vec<Option<usize>> {
    let scale = length as f64 / new_length as f64;
    let mut position = scale * 0.5;
    let mut sources = Vec::with_capacity(new_length);
    for _ in 0..new_length {
        let source = position as usize;
        sources.push((source < length).then_some(source));
        position += scale;
    }
    sources
}

/// For each output position the first source position and the weights from there on (they add up to 1).
fn windows(length: usize, new_length: usize) -> Vec<(usize, Vec<f64>)> {
    let scale = length as f64 / new_length as f64;
    let filter_scale = scale.max(1.0);
    let support = BICUBIC_SUPPORT * filter_scale;
    let inverse = 1.0 / filter_scale;
    (0..new_length)
        .map(|position| {
            let center = (position as f64 + 0.5) * scale;
            // Casts to integers cut towards zero, as in C.
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(length);
            let mut weights: Vec<f64> =
                (first..end).map(|source| bicubic((source as f64 - center + 0.5) * inverse)).collect();
            let total: f64 = weights.iter().sum();
            if total != 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= total);
            }
            (first, weights)
        })
        .collect()
}

fn fixed_point(windows: &[(usize, Vec<f64>)]) -> Vec<(usize, Vec<i32>)> {
    let one = f64::from(1u32 << PRECISION_BITS);
    let fix = |weight: &f64| {
        let half = if *weight < 0.0 { -0.5 } else { 0.5 };
        (half + weight * one) as i32
    };
    windows.iter().map(|(first, weights)| (*first, weights.iter().map(fix).collect())).collect()
}

/// Keys' cubic convolution with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_pixel_grows_into_a_plain_square() {
        let image = RawImage::bytes(Mode::Rgb, 1, 1, vec![7, 99, 255]);
        let grown = resize(&image, 5, 4);
        assert_eq!(grown.samples, Samples::Byte([7, 99, 255].repeat(20)));
    }

    #[test]
    fn palette_indices_are_never_mixed() {
        let image = RawImage::bytes(Mode::Palette, 2, 1, vec![3, 200]);
        let Samples::Byte(indices) = resize(&image, 7, 3).samples else { panic!("bytes stay bytes") };
        assert!(indices.iter().all(|index| [3, 200].contains(index)), "{indices:?}");
    }

    #[test]
    fn weights_of_every_window_add_up_to_one() {
        for (length, new_length) in [(1, 224), (224, 1), (3000, 224), (20, 224), (225, 224), (7, 3)] {
            for (first, weights) in windows(length, new_length) {
                assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                assert!(first + weights.len() <= length && !weights.is_empty());
            }
        }
    }

    proptest! {
        #[test]
        fn a_plain_colour_stays_plain_at_any_size(value: u8, w in 1usize..40, h in 1usize..40, nw in 1usize..40, nh in 1usize..40) {
            let image = RawImage::bytes(Mode::Luma, w, h, vec![value; w * h]);
            prop_assert_eq!(resize(&image, nw, nh).samples, Samples::Byte(vec![value; nw * nh]));
        }
    }
}
