//! The thread that makes pictures: file -> pixels -> the part that is seen -> what the terminal is sent.

use std::collections::VecDeque;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use image::{DynamicImage, GenericImageView as _, ImageDecoder as _, ImageReader};
use ratatui::layout::Size;
use ratatui_image::picker::Picker;
use ratatui_image::protocol::Protocol;
use ratatui_image::{FilterType, Resize};

use super::Wanted;
use crate::evalset::ImageRoot;

/// The name of the thread: what panics on it is a broken picture, not a broken program.
pub const THREAD: &str = "pictures";

/// A larger picture is scaled down once it is read: no terminal shows more, also when one looks closely.
const LONGEST_SIDE: u32 = 4096;

/// So many pictures stay decoded, for zooming and for the next cards about the same picture.
const DECODED: usize = 4;

/// A picture that was made, or why it could not be.
pub struct Done {
    pub wanted: Wanted,
    pub made: Result<Protocol, String>,
}

/// What the thread is to make next.
pub struct Queue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    list: Mutex<List>,
    changed: Condvar,
}

#[derive(Default)]
struct List {
    wanted: VecDeque<Wanted>,
    /// What is being made at this moment: it is not to be made twice.
    making: Option<Wanted>,
    is_closed: bool,
}

impl Shared {
    fn list(&self) -> MutexGuard<'_, List> {
        // A list is whole at every moment: whoever panicked while holding it left nothing half done.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    pub fn replace(&self, wanted: Vec<Wanted>) {
        let mut list = self.shared.list();
        list.wanted = wanted.into_iter().filter(|wanted| list.making.as_ref() != Some(wanted)).collect();
        self.shared.changed.notify_one();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.list().is_closed = true;
        self.shared.changed.notify_one();
    }
}

/// Starts the thread; it ends with the queue. Where no thread can be started, no picture is ever ready.
pub fn start(picker: Picker) -> (Queue, Receiver<Done>) {
    let shared = Arc::new(Shared::default());
    let (sender, receiver) = channel();
    let of_thread = Arc::clone(&shared);
    let thread = std::thread::Builder::new().name(THREAD.to_owned());
    if let Err(error) = thread.spawn(move || work(&of_thread, &picker, &sender)) {
        tracing::warn!("no thread for pictures: {error}");
    }
    (Queue { shared }, receiver)
}

fn work(shared: &Shared, picker: &Picker, sender: &Sender<Done>) {
    let mut decoded: VecDeque<(PathBuf, DynamicImage)> = VecDeque::new();
    loop {
        let mut list = shared.list();
        let wanted = loop {
            if list.is_closed {
                return;
            }
            match list.wanted.pop_front() {
                Some(wanted) => break wanted,
                None => list = shared.changed.wait(list).unwrap_or_else(PoisonError::into_inner),
            }
        };
        list.making = Some(wanted.clone());
        drop(list);
        let made = catch_unwind(AssertUnwindSafe(|| make(&wanted, picker, &mut decoded)))
            .unwrap_or_else(|_| Err("the decoder gave up on it".to_owned()));
        // Sent before the lock is given back: who asks again has it already, or asks after it was sent.
        let mut list = shared.list();
        list.making = None;
        if sender.send(Done { wanted, made }).is_err() {
            return;
        }
    }
}

fn make(wanted: &Wanted, picker: &Picker, decoded: &mut VecDeque<(PathBuf, DynamicImage)>) -> Result<Protocol, String> {
    let at = decoded.iter().position(|(path, _)| *path == wanted.path);
    let picture = match at.and_then(|at| decoded.remove(at)) {
        Some((_, picture)) => picture,
        None => decode(&wanted.path)?,
    };
    let protocol = encode(&picture, wanted, picker);
    decoded.push_front((wanted.path.clone(), picture));
    decoded.truncate(DECODED);
    protocol
}

/// Reads a picture within the limits of an evalset: bytes first, then pixels, and only then it is decoded.
fn decode(path: &Path) -> Result<DynamicImage, String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err("this is no file".to_owned());
    };
    let root = ImageRoot::Folder(folder.to_owned());
    let bytes = root.read(&name.to_string_lossy()).map_err(|error| error.problem.to_string())?;
    let facts = bytes.facts().map_err(|error| error.problem.to_string())?;
    let corrupt = |error: image::ImageError| format!("is corrupt: {error}");
    let mut decoder =
        ImageReader::with_format(Cursor::new(&bytes.bytes[..]), facts.format).into_decoder().map_err(corrupt)?;
    let orientation = decoder.orientation().map_err(corrupt)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(corrupt)?;
    picture.apply_orientation(orientation);
    if picture.width().max(picture.height()) > LONGEST_SIDE {
        picture = picture.resize(LONGEST_SIDE, LONGEST_SIDE, FilterType::Triangle);
    }
    Ok(picture)
}

fn encode(picture: &DynamicImage, wanted: &Wanted, picker: &Picker) -> Result<Protocol, String> {
    let font = picker.font_size();
    let window = (
        u32::from(wanted.size.width) * u32::from(font.width.max(1)),
        u32::from(wanted.size.height) * u32::from(font.height.max(1)),
    );
    let part = wanted.zoom.part(picture.dimensions(), window);
    // To whole cells, so that no strip of an empty background is left at the edge.
    let scale = (f64::from(window.0) / f64::from(part.width)).min(f64::from(window.1) / f64::from(part.height));
    let cells = |pixels: u32, cell: u16, most: u16| {
        ((f64::from(pixels) * scale / f64::from(cell.max(1))).round() as u16).clamp(1, most.max(1))
    };
    let size = Size::new(
        cells(part.width, font.width, wanted.size.width),
        cells(part.height, font.height, wanted.size.height),
    );
    let seen = picture.crop_imm(part.x, part.y, part.width, part.height).resize_exact(
        u32::from(size.width) * u32::from(font.width.max(1)),
        u32::from(size.height) * u32::from(font.height.max(1)),
        FilterType::Triangle,
    );
    picker.new_protocol(seen, size, Resize::Fit(None)).map_err(|error| format!("cannot be drawn: {error}"))
}
