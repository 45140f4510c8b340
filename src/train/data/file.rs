//! Conversations from a file of JSON lines in the reference's own format (section 9.2 of the specification).

use std::path::{Path, PathBuf};

use image::RgbImage;
use rand::RngExt;
use serde::Deserialize;

use super::{Conversations, Example, Picture, Split};
use crate::error::{Error, IoContext, Result};
use crate::owl::processor::IMAGE_PLACEHOLDER;
use crate::train::parameters::generator;

/// One line. Unknown fields are ignored.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    text: String,
    #[serde(default)]
    image: Option<Images>,
    #[serde(default)]
    task_type: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Images {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

/// How a picture file becomes S x S pixels.
pub type Resize = dyn Fn(&Path) -> Result<RgbImage> + Send + Sync;

/// The conversations of a file, in an order that is shuffled anew in every epoch.
pub struct File {
    path: PathBuf,
    lines: Vec<(usize, Line)>,
    seed: u64,
    resize: Box<Resize>,
}

impl File {
    /// Reads the file. Every line is checked; an error names it.
    pub fn read(path: &Path, seed: u64, resize: Box<Resize>) -> Result<Self> {
        let text = std::fs::read_to_string(path).or_at("cannot read the training data", path)?;
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let number = index + 1;
            let line: Line = serde_json::from_str(line)
                .map_err(|error| Error::input(format!("not a training sample: {error}")).at_line(path, number))?;
            let (images, places) = (images(&line).len(), line.text.matches(IMAGE_PLACEHOLDER).count());
            if images != places {
                let message = format!("{places} `{IMAGE_PLACEHOLDER}` in the text, {images} pictures");
                return Err(Error::input(message).at_line(path, number));
            }
            lines.push((number, line));
        }
        if lines.is_empty() {
            return Err(Error::input("the training data holds no sample").at(path));
        }
        Ok(Self { path: path.to_owned(), lines, seed, resize })
    }

    /// The texts, for training a tokenizer.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|(_, line)| line.text.as_str())
    }
}

fn images(line: &Line) -> &[PathBuf] {
    match &line.image {
        None => &[],
        Some(Images::One(path)) => std::slice::from_ref(path),
        Some(Images::Several(paths)) => paths,
    }
}

impl Conversations for File {
    fn example(&self, split: Split, index: u64, _told: bool) -> Result<Example> {
        let count = self.lines.len() as u64;
        let chosen = match split {
            // A file has no second half that nobody learns from: samples during training are taken in order.
            Split::HeldOut | Split::HeldOutPairs => index % count,
            Split::Train => {
                let mut order = (0..self.lines.len()).collect::<Vec<_>>();
                let mut random = generator(self.seed, &["epoch", &(index / count).to_string()]);
                for last in (1..order.len()).rev() {
                    order.swap(last, random.random_range(0..=last));
                }
                order[(index % count) as usize] as u64
            }
        };
        let (number, line) = &self.lines[chosen as usize];
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let pictures = images(line)
            .iter()
            .map(|path| {
                (self.resize)(&folder.join(path))
                    .map(Picture::Drawn)
                    .map_err(|error| Error::input(format!("line {number}: {error}")).at(&self.path).source(error))
            })
            .collect::<Result<Vec<_>>>()?;
        let kind = line.task_type.clone().unwrap_or_else(|| "answer".to_owned());
        let turns = line.text.matches("AI: ").count();
        Ok(Example {
            id: format!("{}:{number}", self.path.display()),
            text: line.text.clone(),
            pictures,
            kinds: vec![kind; turns],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<File> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.jsonl");
        std::fs::write(&path, text).unwrap();
        File::read(&path, 1, Box::new(|_| Ok(RgbImage::new(96, 96))))
    }

    #[test]
    fn every_epoch_holds_every_sample_once_in_another_order() {
        let text = (0..20).map(|n| format!("{{\"text\": \"Human: {n}\\nAI: {n}\"}}\n")).collect::<String>();
        let file = file(&text).unwrap();
        let epoch = |epoch: u64| {
            let texts = (0..20).map(|index| file.example(Split::Train, epoch * 20 + index, false).unwrap().text);
            texts.collect::<Vec<_>>()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        let sorted = |mut texts: Vec<String>| {
            texts.sort();
            texts
        };
        assert_eq!(sorted(first), sorted(second));
    }

    #[test]
    fn a_sample_with_fewer_pictures_than_placeholders_is_refused_by_line() {
        let text = "{\"text\": \"Human: a\\nAI: b\"}\n{\"text\": \"Human: <image>\\nAI: b\", \"image\": []}\n";
        let error = file(text).err().unwrap();
        assert!(error.to_string().contains("data.jsonl:2"), "{error}");
    }

    #[test]
    fn a_broken_line_is_refused_by_number() {
        assert!(file("{\"text\": 3}").err().unwrap().to_string().contains("data.jsonl:1"));
    }
}
