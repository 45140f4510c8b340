//! All keys, and the full wording of the rubric.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Drawn, LONGEST_LINE, Scene, document};
use crate::tui::keys::{CONTROLLED_HELP, GROUPS, Group};
use crate::tui::wrap::{fit, wrap};

/// A key as written, and a column of keys and what they do.
const KEY_WIDTH: u16 = 11;
const COLUMN_WIDTH: u16 = 38;

/// Draws the page from its line `first` on.
pub fn draw(scene: &Scene<'_>, first: usize, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(3), ..area };
    let mut lines = keys(scene, inner.width);
    lines.extend(rubric(scene, inner.width.min(LONGEST_LINE)));
    let page = usize::from(area.height);
    let first = first.min(lines.len().saturating_sub(page));
    for (line, y) in lines.iter().skip(first).zip(area.top()..area.bottom()) {
        buffer.set_line(inner.x, y, line, inner.width);
    }
    if lines.len() > page {
        let place = Rect { x: area.right() - 1, width: 1, ..area };
        document::bar(first, page, lines.len(), place, scene.theme, buffer);
    }
    drawn.measured.open_lines = lines.len();
    drawn.measured.open_page = page;
}

/// The groups of keys, in two columns where there is room.
fn keys(scene: &Scene<'_>, width: u16) -> Vec<Line<'static>> {
    let column = |groups: &[&Group], width: u16| -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        for group in groups {
            lines.push(Line::styled(group.title, scene.theme.heading()));
            for binding in group.bindings {
                let help = fit(binding.help, width.saturating_sub(KEY_WIDTH + 1));
                lines.push(Line::from(vec![
                    Span::styled(format!("{:1$}", binding.shown, usize::from(KEY_WIDTH)), scene.theme.key()),
                    Span::styled(help, scene.theme.plain()),
                ]));
            }
            lines.push(Line::default());
        }
        lines
    };
    let [grading, moving, pictures, screen] = &GROUPS;
    let mut lines = if width / 2 >= COLUMN_WIDTH {
        let half = width / 2;
        let mut left = column(&[grading, screen], half);
        let right = column(&[moving, pictures], half);
        left.resize(left.len().max(right.len()), Line::default());
        for (line, more) in left.iter_mut().zip(right) {
            let gap = usize::from(half).saturating_sub(line.width());
            line.push_span(Span::raw(" ".repeat(gap)));
            line.extend(more.spans.into_iter().map(|span| span.patch_style(more.style)));
        }
        left
    } else {
        column(&[grading, moving, pictures, screen], width)
    };
    lines.push(Line::styled(fit(CONTROLLED_HELP, width), scene.theme.dim()));
    lines.push(Line::default());
    lines
}

fn rubric(scene: &Scene<'_>, width: u16) -> Vec<Line<'static>> {
    let rubric = &scene.session.deck().rubric;
    let mut lines = vec![Line::styled(fit(&rubric.title, width), scene.theme.heading())];
    for (grade, short, full) in &rubric.grades {
        let text = format!("{}. {full}", short.trim_end_matches('.'));
        let wrapped = wrap(&text, width.saturating_sub(4)).into_iter().enumerate();
        lines.extend(wrapped.map(|(row, line)| {
            let key = if row == 0 { format!("[{grade}] ") } else { "    ".to_owned() };
            Line::from(vec![Span::styled(key, scene.theme.grade(*grade)), Span::raw(line)])
        }));
    }
    if !rubric.text.trim().is_empty() {
        lines.push(Line::default());
        lines.extend(wrap(rubric.text.trim(), width).into_iter().map(Line::from));
    }
    lines
}
