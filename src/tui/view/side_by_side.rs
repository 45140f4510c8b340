//! All answers to one question: in a grid where there is room, else in a list of which one is open.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, BorderType, Widget as _};

use super::document::Document;
use super::{Drawn, Scene};
use crate::tui::state::Measured;
use crate::tui::wrap::{fit, wrap};

/// An answer in a grid has at least so many columns and rows.
const CELL: (u16, u16) = (40, 8);

/// Draws the question and, below it, the answers.
pub fn draw(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let question = Rect { x: area.x + 1, width: area.width - 2, height: (area.height / 4).max(1), ..area };
    let rows = draw_question(scene, question, buffer);
    let top = area.y + rows + u16::from(area.height > 12);
    let answers = Rect { y: top, height: area.bottom() - top, ..area };
    let count = u16::try_from(scene.group().len()).unwrap_or(u16::MAX);
    let columns = (answers.width / CELL.0).clamp(1, count);
    let height = answers.height / count.div_ceil(columns);
    drawn.measured = if count > 1 && columns > 1 && height >= CELL.1 {
        grid(scene, columns, height, answers, buffer)
    } else {
        list(scene, answers, buffer)
    };
}

fn draw_question(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) -> u16 {
    let lines = wrap(&scene.card().question, area.width);
    let rows = usize::from(area.height);
    let is_cut = lines.len() > rows;
    for (index, (line, y)) in lines.iter().zip(area.top()..area.bottom()).enumerate() {
        let text = if is_cut && index + 1 == rows { fit(&format!("{line} …"), area.width) } else { line.clone() };
        buffer.set_string(area.x, y, text, scene.theme.strong());
    }
    u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height)
}

/// `2 [B]`, and what else is recorded.
fn label(scene: &Scene<'_>, card: usize) -> (String, Style) {
    let mark = scene.session.mark(card);
    let number = card - scene.group().start + 1;
    let (grade, style) = match mark.grade {
        Some(grade) => (grade.to_string(), scene.theme.grade(grade)),
        None if mark.skipped => ("skipped".to_owned(), scene.theme.dim()),
        None => (" ".to_owned(), scene.theme.plain()),
    };
    let flag = if mark.flagged { " flagged" } else { "" };
    (format!("{number} [{grade}]{flag}"), style)
}

fn grid(scene: &Scene<'_>, columns: u16, height: u16, area: Rect, buffer: &mut Buffer) -> Measured {
    let mut measured = Measured::default();
    let width = area.width / columns;
    for (index, card) in (0u16..).zip(scene.group()) {
        let (column, row) = (index % columns, index / columns);
        let cell = Rect { x: area.x + column * width, y: area.y + row * height, width, height };
        let is_here = card == scene.state.card;
        let (label, style) = label(scene, card);
        let (border, title, border_style) = if is_here {
            (BorderType::Thick, format!(" ▶ {label} "), scene.theme.focus())
        } else {
            (BorderType::Plain, format!("   {label} "), scene.theme.dim())
        };
        Block::bordered().border_type(border).border_style(border_style).render(cell, buffer);
        buffer.set_stringn(cell.x + 1, cell.y, title, usize::from(width - 2), Style::reset().patch(style));
        let inner = Rect { x: cell.x + 2, y: cell.y + 1, width: width - 4, height: height - 2 };
        let document = Document::without_question(&scene.session.deck().cards[card], inner.width - 2);
        let scroll = if is_here { scene.state.scroll } else { None };
        let found = document.draw(scroll, inner, scene.theme, buffer);
        if is_here {
            measured = found;
        }
    }
    measured
}

fn list(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) -> Measured {
    let mut measured = Measured::default();
    let group = scene.group();
    let here = scene.state.card;
    // The others have a row each, in at most half of the rows: those next to the open one.
    let others = (group.len() - 1).min(usize::from(area.height / 2));
    let first = here.saturating_sub(others / 2).max(group.start).min(group.end - others - 1);
    let open_rows = area.height.saturating_sub(others as u16 + 1);
    let mut y = area.y;
    for card in first..=first + others {
        let (label, style) = label(scene, card);
        let text = &scene.session.deck().cards[card];
        if card == here {
            for x in area.left()..area.right() {
                buffer.set_string(x, y, "━", scene.theme.focus());
            }
            let title = format!("▶ {label} ");
            buffer.set_stringn(area.x + 1, y, title, usize::from(area.width - 1), Style::reset().patch(style));
            let inner = Rect { x: area.x + 3, y: y + 1, width: area.width - 3, height: open_rows };
            let document = Document::without_question(text, inner.width.min(super::LONGEST_LINE) - 2);
            measured = document.draw(scene.state.scroll, inner, scene.theme, buffer);
            y += open_rows + 1;
        } else {
            let (x, _) = buffer.set_stringn(area.x + 3, y, label, usize::from(area.width - 3), style);
            let room = area.right().saturating_sub(x + 3);
            // As much of it as one line can hold, its line breaks as spaces.
            let words: Vec<&str> = text.answer.split_whitespace().take(usize::from(room)).collect();
            buffer.set_string(x + 2, y, fit(&words.join(" "), room), scene.theme.dim());
            y += 1;
        }
    }
    measured
}
