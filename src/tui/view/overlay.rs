//! What stands in for the answers, or beside them, at the end of something: a practice card, a sheet.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::bars::{self, duration};
use super::{LONGEST_LINE, Scene};
use crate::tui::wrap::wrap;

/// After a practice card: what would fit, and why. Gives what is left of the text's area.
pub fn advice(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = scene.theme;
    let (Some(suggestion), Some(given)) = (&scene.card().suggested, scene.session.mark(scene.state.card).grade) else {
        return area;
    };
    let verdict = if suggestion.grade == given {
        format!("You gave {given}, and so would we.")
    } else {
        format!("You gave {given}. We would give {}.", suggestion.grade)
    };
    let width = area.width.saturating_sub(3).min(LONGEST_LINE);
    let why = wrap(&suggestion.why, width);
    let height = (u16::try_from(why.len()).unwrap_or(u16::MAX).saturating_add(2)).min(area.height * 2 / 3);
    let top = area.bottom() - height;
    for x in area.left()..area.right() {
        buffer.set_string(x, top, "═", theme.focus());
    }
    let style = theme.grade(suggestion.grade);
    buffer.set_stringn(area.x + 1, top + 1, verdict, usize::from(width), style);
    for (line, y) in why.iter().zip(top + 2..area.bottom()) {
        buffer.set_stringn(area.x + 1, y, line, usize::from(width), theme.plain());
    }
    Rect { height: area.height - height, ..area }
}

/// All cards are graded or skipped.
pub fn finished(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let theme = scene.theme;
    let progress = scene.session.progress();
    let mut counts = vec![format!("{} graded", progress.graded)];
    counts.extend((progress.skipped > 0).then(|| format!("{} skipped", progress.skipped)));
    counts.extend((progress.flagged > 0).then(|| format!("{} flagged", progress.flagged)));
    counts.push(format!("{} of work", duration(progress.seconds)));
    let title = if progress.skipped == 0 { "Every answer is graded." } else { "Every answer is graded or skipped." };
    let kept = if scene.state.is_practice {
        "This was practice: nothing is recorded."
    } else {
        "All of it is on disk. Thank you."
    };
    let rows: [(&str, Style); 4] = [
        (title, theme.heading()),
        (&counts.join(", "), theme.strong()),
        (kept, theme.plain()),
        ("q leaves; u takes the last grade back; ← looks back; v walks through the skipped or flagged", theme.dim()),
    ];
    let mut y = area.y + area.height.saturating_sub(8) / 2;
    for (text, style) in rows {
        for line in wrap(text, area.width.saturating_sub(4).min(LONGEST_LINE)) {
            let indent = area.width.saturating_sub(bars::width(&line)) / 2;
            if y < area.bottom() {
                buffer.set_stringn(area.x + indent, y, &line, usize::from(area.width - indent), style);
            }
            y += 1;
        }
        y += 1;
    }
}
