//! RGB squares -> the normalised float tensors that the vision tower takes, and the file that says how.

use std::path::Path;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use crate::error::{Error, IoContext, Result};

use super::decode::DEFAULT_PIXEL_LIMIT;
use super::image::{RgbImage, decode_and_resize_within};

/// How pictures become pixel values; read from `preprocessor_config.json`, CLIP's values where it is silent.
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessorConfig {
    /// Side of the square, in pixels.
    pub image_size: usize,
    /// Of red, green and blue, in units of full intensity.
    pub mean: [f32; 3],
    pub std: [f32; 3],
    /// Pictures of more pixels are refused before decoding; not part of the file.
    pub pixel_limit: u64,
}

impl Default for PreprocessorConfig {
    fn default() -> Self {
        Self {
            image_size: 224,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            pixel_limit: DEFAULT_PIXEL_LIMIT,
        }
    }
}

/// The keys that matter; all others are ignored.
#[derive(Deserialize)]
struct File {
    resolution: Option<usize>,
    size: Option<Size>,
    crop_size: Option<Size>,
    do_center_crop: Option<bool>,
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Side(usize),
    Edge { shortest_edge: usize },
    Sides { height: usize, width: usize },
}

impl Size {
    fn side(&self) -> Result<usize> {
        match *self {
            Size::Side(side) | Size::Edge { shortest_edge: side } => Ok(side),
            Size::Sides { height, width } if height == width => Ok(height),
            Size::Sides { height, width } => {
                Err(Error::input(format!("the picture size {height} x {width} is not a square")))
            }
        }
    }
}

impl PreprocessorConfig {
    /// Reads a `preprocessor_config.json`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).or_at("cannot read the preprocessor configuration", path)?;
        Self::from_json(&text).map_err(|error| error.at(path))
    }

    /// The square is `size` (`shortest_edge`, `height` and `width`, or a number), else `resolution`, else 224. A centre
    /// crop to another size than that is refused: no released checkpoint has one.
    pub fn from_json(text: &str) -> Result<Self> {
        let file: File = serde_json::from_str(text)
            .map_err(|error| Error::input(format!("not a preprocessor configuration: {error}")).source(error))?;
        let mut config = Self::default();
        if let Some(size) = &file.size {
            config.image_size = size.side()?;
        } else if let Some(resolution) = file.resolution {
            config.image_size = resolution;
        }
        if !(1..=4096).contains(&config.image_size) {
            return Err(Error::input(format!("the picture size {} is not in 1..=4096", config.image_size)));
        }
        if let (Some(crop), true) = (&file.crop_size, file.do_center_crop.unwrap_or(true)) {
            let crop = crop.side()?;
            if crop != config.image_size {
                return Err(Error::input(format!(
                    "crop_size {crop} differs from the picture size {}: a centre crop is not supported",
                    config.image_size
                ))
                .remedy("give the same number in size and crop_size, or set do_center_crop to false"));
            }
        }
        if let Some(mean) = file.image_mean {
            config.mean = mean.map(|value| value as f32);
        }
        if let Some(std) = file.image_std {
            config.std = std.map(|value| value as f32);
        }
        let usable = |value: &f32| value.is_finite();
        if !config.mean.iter().all(usable) || !config.std.iter().all(|std| usable(std) && *std > 0.0) {
            return Err(Error::input("image_mean and image_std must be finite numbers, image_std above zero"));
        }
        Ok(config)
    }

    /// The bytes of a picture file -> pixel values, f32 `[3, size, size]` on the CPU.
    pub fn pixels(&self, bytes: &[u8], name: &str) -> Result<Tensor> {
        let image = decode_and_resize_within(bytes, name, self.image_size, self.pixel_limit)?;
        self.normalise(&image)
    }

    /// A picture already at its size -> pixel values, f32 `[3, height, width]` on the CPU.
    pub fn normalise(&self, image: &RgbImage) -> Result<Tensor> {
        Ok(Tensor::from_vec(self.values(image), (3, image.height, image.width), &Device::Cpu)?)
    }

    /// Pictures of one size -> f32 `[n, 3, height, width]` on the CPU, in the order given.
    ///
    /// # Errors
    /// No picture at all, or pictures of different sizes.
    pub fn batch(&self, images: &[RgbImage]) -> Result<Tensor> {
        let Some(first) = images.first() else {
            return Err(Error::failed("a batch of pictures needs at least one"));
        };
        let mut values = Vec::with_capacity(images.len() * first.pixels.len());
        for image in images {
            if (image.width, image.height) != (first.width, first.height) {
                return Err(Error::failed(format!(
                    "pictures of {} x {} and {} x {} pixels cannot be in one batch",
                    first.width, first.height, image.width, image.height
                )));
            }
            values.extend(self.values(image));
        }
        Ok(Tensor::from_vec(values, (images.len(), 3, first.height, first.width), &Device::Cpu)?)
    }

    /// x = f32(u8 * (1/255)) with the product in float64, then (x - mean) / std in float32; channel after channel.
    fn values(&self, image: &RgbImage) -> Vec<f32> {
        let mut values = Vec::with_capacity(image.pixels.len());
        for channel in 0..3 {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            let table: [f32; 256] = std::array::from_fn(|level| ((level as f64 * (1.0 / 255.0)) as f32 - mean) / std);
            values.extend(image.pixels.iter().skip(channel).step_by(3).map(|&level| table[usize::from(level)]));
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_the_released_checkpoints_is_read() {
        let config = PreprocessorConfig::from_json(
            r#"{"resolution": 224, "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711], "something_else": {"a": 1}}"#,
        )
        .unwrap();
        assert_eq!(config, PreprocessorConfig::default());
    }

    #[test]
    fn the_size_wins_over_the_resolution_in_each_of_its_forms() {
        for size in [r#"{"shortest_edge": 56}"#, r#"{"height": 56, "width": 56}"#, "56"] {
            let text = format!(r#"{{"resolution": 224, "size": {size}, "crop_size": {{"height": 56, "width": 56}}}}"#);
            assert_eq!(PreprocessorConfig::from_json(&text).unwrap().image_size, 56, "{text}");
        }
    }

    #[test]
    fn sizes_that_cannot_be_served_are_refused() {
        for text in [
            r#"{"size": {"height": 56, "width": 57}}"#,
            r#"{"size": 0}"#,
            r#"{"size": 99999999}"#,
            r#"{"size": 256, "crop_size": 224}"#,
            r#"{"image_std": [0, 1, 1]}"#,
            "[]",
        ] {
            assert!(PreprocessorConfig::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_batch_holds_channels_before_rows() {
        let config = PreprocessorConfig { mean: [0.0; 3], std: [1.0; 3], ..PreprocessorConfig::default() };
        let image = RgbImage { width: 2, height: 1, pixels: vec![255, 0, 51, 0, 255, 51] };
        let batch = config.batch(&[image.clone(), image]).unwrap();
        assert_eq!(batch.dims(), [2, 3, 1, 2]);
        let values = batch.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values[..6], [1.0, 0.0, 0.0, 1.0, 0.2, 0.2]);
        assert_eq!(values[..6], values[6..]);
    }
}
