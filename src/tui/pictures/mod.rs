//! Pictures on a terminal: read, cut out, scaled and encoded on a thread of their own, and kept for the next drawing.
//!
//! A drawing says which pictures it shows and which may come next ([`Gallery::want`]); what is ready it draws, and for
//! what is not it draws a box that says so. A key press never waits for a picture.

mod depth;
mod worker;
mod zoom;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use ratatui::layout::Size;
use ratatui_image::picker::{Picker, ProtocolType};
use ratatui_image::protocol::Protocol;

pub use depth::Depth;
pub use worker::THREAD;
use worker::{Done, Queue};
pub use zoom::Zoom;

/// So many encoded pictures are kept.
const KEPT: usize = 32;

/// A picture as it is shown: which file, in how many cells, and which part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    pub path: PathBuf,
    pub size: Size,
    pub zoom: Zoom,
}

/// What there is of a wanted picture.
pub enum Shown<'a> {
    Ready(&'a Protocol),
    /// Why there is none.
    Failed(&'a str),
    NotYet,
}

enum Kept {
    Ready(Box<Protocol>),
    Failed(String),
}

/// The pictures that are ready, and the thread that makes more.
pub struct Gallery {
    picker: Picker,
    depth: Depth,
    queue: Queue,
    done: Receiver<Done>,
    /// With the number of the drawing that showed it last.
    kept: HashMap<Wanted, (Kept, u64)>,
    drawing: u64,
    /// What was wanted last and is not ready.
    missing: Vec<Wanted>,
    /// Something has become ready that no drawing has shown.
    has_new: bool,
}

impl Gallery {
    /// Starts the thread. The picker says what the terminal understands, the depth how many colours it has.
    pub fn new(picker: Picker, depth: Depth) -> Self {
        let (queue, done) = worker::start(picker.clone());
        Self { picker, depth, queue, done, kept: HashMap::new(), drawing: 0, missing: Vec::new(), has_new: false }
    }

    /// How half blocks are to be coloured; `None` where the terminal draws real pixels.
    pub fn block_depth(&self) -> Option<Depth> {
        (self.picker.protocol_type() == ProtocolType::Halfblocks).then_some(self.depth)
    }

    pub fn get(&self, wanted: &Wanted) -> Shown<'_> {
        match self.kept.get(wanted) {
            Some((Kept::Ready(protocol), _)) => Shown::Ready(protocol),
            Some((Kept::Failed(why), _)) => Shown::Failed(why),
            None => Shown::NotYet,
        }
    }

    /// Says what a drawing showed, and then what may be shown next, the most urgent first. What was asked for before
    /// and is not in the list is forgotten: who leafs quickly does not wait for the pictures leafed past.
    pub fn want(&mut self, wanted: Vec<Wanted>) {
        self.take_in();
        self.drawing += 1;
        for key in &wanted {
            if let Some((_, drawing)) = self.kept.get_mut(key) {
                *drawing = self.drawing;
            }
        }
        self.missing = wanted.into_iter().filter(|key| !self.kept.contains_key(key)).collect();
        self.queue.replace(self.missing.clone());
    }

    /// Takes in what has become ready; whether anything has.
    pub fn collect(&mut self) -> bool {
        self.take_in();
        std::mem::take(&mut self.has_new)
    }

    fn take_in(&mut self) {
        while let Ok(done) = self.done.try_recv() {
            self.keep(done);
        }
    }

    /// Whether a picture that was wanted is still being made.
    pub fn is_waiting(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Waits until all that was wanted is there.
    #[cfg(test)]
    pub fn wait(&mut self) {
        while self.is_waiting() {
            let done =
                self.done.recv_timeout(std::time::Duration::from_secs(60)).expect("a picture, or why there is none");
            self.keep(done);
        }
    }

    /// Forgets what was made: the terminal has lost what it was sent.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    fn keep(&mut self, done: Done) {
        let kept = match done.made {
            Ok(protocol) => Kept::Ready(Box::new(protocol)),
            Err(why) => Kept::Failed(why),
        };
        self.missing.retain(|wanted| *wanted != done.wanted);
        self.has_new = true;
        self.kept.insert(done.wanted, (kept, self.drawing));
        while self.kept.len() > KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, (_, drawing))| *drawing).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            self.kept.remove(&oldest);
        }
    }
}
