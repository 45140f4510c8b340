//! The picture transforms of training (section 9.2): other than at inference, the picture becomes RGB first.

use rand::{Rng, RngExt};

use super::image::RgbImage;
use super::modes::RawImage;
use super::resize::bicubic_bytes;

/// What part of the picture's area a training crop keeps.
const CROP_AREA: std::ops::RangeInclusive<f64> = 0.5..=1.0;

/// How much wider than high (or the reverse) a training crop may be.
const CROP_ASPECT: f64 = 4.0 / 3.0;

/// RGB, then a random crop of half to all of the area brought to `size` x `size`, mirrored with probability
/// `flip_probability` (the reference: 0.5; 0 where left and right matter).
pub fn training_image(image: &RawImage, size: usize, flip_probability: f64, rng: &mut impl Rng) -> RgbImage {
    let rgb = image.to_rgb();
    let (left, top, width, height) = random_crop(rgb.width, rgb.height, rng);
    let mut cropped = Vec::with_capacity(width * height * 3);
    for row in top..top + height {
        let start = (row * rgb.width + left) * 3;
        cropped.extend_from_slice(&rgb.pixels[start..start + width * 3]);
    }
    let mut pixels = bicubic_bytes(&cropped, width, height, 3, size, size);
    if rng.random_bool(flip_probability.clamp(0.0, 1.0)) {
        for row in pixels.chunks_exact_mut(size * 3) {
            for column in 0..size / 2 {
                for channel in 0..3 {
                    row.swap(column * 3 + channel, (size - 1 - column) * 3 + channel);
                }
            }
        }
    }
    RgbImage { width: size, height: size, pixels }
}

/// RGB, then the whole picture brought to `size` x `size`.
pub fn validation_image(image: &RawImage, size: usize) -> RgbImage {
    let rgb = image.to_rgb();
    let pixels = bicubic_bytes(&rgb.pixels, rgb.width, rgb.height, 3, size, size);
    RgbImage { width: size, height: size, pixels }
}

/// Left, top, width and height of a crop, drawn as the usual random resized crop: ten tries of an area and of the
/// logarithm of an aspect ratio, uniformly; then the largest centred crop of a permitted ratio.
fn random_crop(width: usize, height: usize, rng: &mut impl Rng) -> (usize, usize, usize, usize) {
    let area = (width * height) as f64;
    for _ in 0..10 {
        let target = area * rng.random_range(CROP_AREA);
        let aspect = rng.random_range(-CROP_ASPECT.ln()..=CROP_ASPECT.ln()).exp();
        let crop_width = (target * aspect).sqrt().round() as usize;
        let crop_height = (target / aspect).sqrt().round() as usize;
        if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
            let top = rng.random_range(0..=height - crop_height);
            let left = rng.random_range(0..=width - crop_width);
            return (left, top, crop_width, crop_height);
        }
    }
    let ratio = width as f64 / height as f64;
    let (crop_width, crop_height) = if ratio < 1.0 / CROP_ASPECT {
        (width, (width as f64 * CROP_ASPECT).round() as usize)
    } else if ratio > CROP_ASPECT {
        ((height as f64 * CROP_ASPECT).round() as usize, height)
    } else {
        (width, height)
    };
    let (crop_width, crop_height) = (crop_width.clamp(1, width), crop_height.clamp(1, height));
    ((width - crop_width) / 2, (height - crop_height) / 2, crop_width, crop_height)
}

#[cfg(test)]
mod tests {
    use super::super::modes::Mode;
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn gradient(width: usize, height: usize) -> RawImage {
        let pixels = (0..width * height).flat_map(|i| [(i % width) as u8, (i / width) as u8, 9]).collect();
        RawImage::bytes(Mode::Rgb, width, height, pixels)
    }

    #[test]
    fn crops_lie_inside_and_keep_at_least_half_where_the_shape_allows() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..500 {
            let (left, top, width, height) = random_crop(100, 80, &mut rng);
            assert!(left + width <= 100 && top + height <= 80);
            assert!((width * height) as f64 >= 0.48 * 8000.0, "{width} x {height}");
        }
        for (width, height) in [(1, 1), (3000, 2), (1, 500)] {
            let (left, top, crop_width, crop_height) = random_crop(width, height, &mut rng);
            assert!(crop_width >= 1 && crop_height >= 1 && left + crop_width <= width && top + crop_height <= height);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_picture_and_a_flip_mirrors_it() {
        let image = gradient(60, 50);
        let draw = |flip: f64| training_image(&image, 32, flip, &mut ChaCha8Rng::seed_from_u64(7));
        assert_eq!(draw(0.5), draw(0.5));
        let (plain, flipped) = (draw(0.0), draw(1.0));
        for row in 0..32 {
            for column in 0..32 {
                let here = (row * 32 + column) * 3;
                let there = (row * 32 + 31 - column) * 3;
                assert_eq!(plain.pixels[here..here + 3], flipped.pixels[there..there + 3]);
            }
        }
    }

    #[test]
    fn validation_uses_the_whole_picture_unchanged_at_its_own_size() {
        let image = gradient(32, 32);
        assert_eq!(validation_image(&image, 32), image.to_rgb());
    }
}
