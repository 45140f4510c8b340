//! Draws the screen: a pure function of the session, the state and the pictures that are ready.
//!
//! ```text
//!  OwlEval, six models            16/492 ━···········   3 %  11 s each  1 h 27 min left   the sheet
//! ── 17 of 492 ── turn 2 ────────────────────────────────────────── ungraded, flagged ──   the card
//!  Question                                        │
//!  What is funny about this image?                 │          (picture)
//!                                                  │
//!  Answer                                          │
//!  The cat wears a hat.                            │
//! ──────────────────────────────────────────────────── ↓ 12 more lines: space ──────────
//!  [A] valid and satisfying              [B] acceptable, minor errors                      the rubric
//!  [C] responds, significant errors      [D] irrelevant or invalid
//!  B for 16; u takes it back                                                               the message
//!  a b c d grade  u undo  s skip  f flag  n note  ? all keys  q leave                      the keys
//! ```

mod bars;
mod document;
mod help;
mod overlay;
mod picture;
mod side_by_side;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::pictures::{Gallery, Wanted};
use super::state::{Layout, Measured, Mode, State};
use super::theme::Theme;
use crate::grading::{Card, Session};
use document::Document;

/// The smallest window in which an answer can be read and graded.
const SMALLEST: (u16, u16) = (40, 12);

/// Lines of text are no longer than this: the eye loses its way back.
const LONGEST_LINE: u16 = 92;

/// In fewer columns a picture says nothing.
const FEWEST_PICTURE_COLUMNS: u16 = 20;

/// Beside a picture, text has at least so many columns.
const TEXT_COLUMNS: u16 = 46;

/// All that a drawing is made of.
pub struct Scene<'a> {
    pub session: &'a Session,
    pub state: &'a State,
    /// None where pictures are switched off.
    pub gallery: Option<&'a Gallery>,
    pub theme: Theme,
}

/// What a drawing found out.
#[derive(Debug, Default)]
pub struct Drawn {
    pub measured: Measured,
    /// The pictures that it shows, and then those that may be shown next.
    pub wanted: Vec<Wanted>,
    /// Where text is being typed.
    pub cursor: Option<Position>,
}

impl Scene<'_> {
    fn card(&self) -> &Card {
        &self.session.deck().cards[self.state.card]
    }

    /// The cards about the same question as the one shown.
    fn group(&self) -> std::ops::Range<usize> {
        let cards = &self.session.deck().cards;
        let is_same = |card: &Card| card.question_group == self.card().question_group;
        let here = self.state.card;
        let before = cards[..here].iter().rev().take_while(|card| is_same(card)).count();
        let after = cards[here..].iter().take_while(|card| is_same(card)).count();
        here - before..here + after
    }
}

/// Draws the whole screen.
pub fn draw(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let mut drawn = Drawn::default();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("Please make the window larger: at least {} x {}.", SMALLEST.0, SMALLEST.1);
        document::lines(&text, area, scene.theme.strong(), buffer);
        return drawn;
    }
    let rubric_columns = bars::rubric_columns(scene, area);
    let rubric_rows = (4 / rubric_columns.len()) as u16;
    let row = |y: u16| Rect { y, height: 1, ..area };
    let bottom = area.bottom();
    // What is said is said whole: it takes rows of the answer, and half of them at most.
    let said = bars::said(scene, area.width);
    let room = area.height - 2 - rubric_rows - 2;
    let message_rows = u16::try_from(said.len()).unwrap_or(u16::MAX).clamp(1, (room / 2).max(1));
    let body = Rect { y: area.y + 2, height: room - message_rows, ..area };
    let rubric = Rect { y: body.bottom() + 1, height: rubric_rows, ..area };
    bars::header(scene, row(area.y), buffer);
    bars::card_line(scene, row(area.y + 1), buffer);
    match scene.state.mode {
        Mode::Help(first) => help::draw(scene, first, body, buffer, &mut drawn),
        Mode::Finished => overlay::finished(scene, body, buffer),
        Mode::Picture => {
            let whole = Rect { height: body.height + 1 + rubric_rows, ..body };
            picture::draw_large(scene, whole, buffer, &mut drawn);
        }
        Mode::Grading | Mode::Prompt(..) | Mode::Advice => answers(scene, body, buffer, &mut drawn),
    }
    if scene.state.mode != Mode::Picture {
        bars::lower_rule(scene, &drawn.measured, row(body.bottom()), buffer);
        bars::rubric(scene, &rubric_columns, rubric, buffer);
    }
    let message = Rect { y: bottom - 1 - message_rows, height: message_rows, ..area };
    bars::message(scene, &said, message, buffer, &mut drawn);
    bars::hints(scene, row(bottom - 1), buffer);
    drawn
}

/// The answers, beside the pictures where there are any and where there is room.
fn answers(scene: &Scene<'_>, body: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let (mut text, pictures) = split(scene, body);
    if let Some(pictures) = pictures {
        for y in body.top()..body.bottom() {
            buffer.set_string(pictures.x - 1, y, "│", scene.theme.dim());
        }
        picture::draw_beside(scene, pictures, buffer, drawn);
    }
    if scene.state.mode == Mode::Advice {
        text = overlay::advice(scene, text, buffer);
    }
    match scene.state.layout {
        Layout::OneAtATime => {
            let text = Rect { x: text.x + 1, width: (text.width - 1).min(LONGEST_LINE), ..text };
            let document = Document::whole(scene.card(), text.width - 2);
            drawn.measured = document.draw(scene.state.scroll, text, scene.theme, buffer);
        }
        Layout::SideBySide => side_by_side::draw(scene, text, buffer, drawn),
    }
}

/// The columns of the text and those of the pictures.
fn split(scene: &Scene<'_>, body: Rect) -> (Rect, Option<Rect>) {
    let Some(width) = picture_columns(scene, body.width) else { return (body, None) };
    let text = Rect { width: body.width - width - 1, ..body };
    let pictures = Rect { x: text.right() + 1, width, ..body };
    (text, Some(pictures))
}

/// How many of a window's columns the pictures of the card take beside its text; none where there is no room.
fn picture_columns(scene: &Scene<'_>, columns: u16) -> Option<u16> {
    let share = if columns < 120 { columns * 3 / 8 } else { columns * 9 / 20 };
    let width = share.min(columns.saturating_sub(TEXT_COLUMNS + 1));
    let has_pictures = scene.gallery.is_some() && !scene.card().images.is_empty();
    (has_pictures && width >= FEWEST_PICTURE_COLUMNS).then_some(width)
}
