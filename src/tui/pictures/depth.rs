//! How many colours a terminal has, and half blocks in no more than these.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

/// The colours of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    True,
    /// The 6 x 6 x 6 cube and the greys of xterm's 256 colours.
    Indexed,
    Sixteen,
    /// `NO_COLOR`: a picture is drawn in shades.
    None,
}

/// The sixteen colours as most terminals show them (those of VGA), in the order of their numbers.
const SIXTEEN: [(Color, [u8; 3]); 16] = [
    (Color::Black, [0, 0, 0]),
    (Color::Red, [170, 0, 0]),
    (Color::Green, [0, 170, 0]),
    (Color::Yellow, [170, 85, 0]),
    (Color::Blue, [0, 0, 170]),
    (Color::Magenta, [170, 0, 170]),
    (Color::Cyan, [0, 170, 170]),
    (Color::Gray, [170, 170, 170]),
    (Color::DarkGray, [85, 85, 85]),
    (Color::LightRed, [255, 85, 85]),
    (Color::LightGreen, [85, 255, 85]),
    (Color::LightYellow, [255, 255, 85]),
    (Color::LightBlue, [85, 85, 255]),
    (Color::LightMagenta, [255, 85, 255]),
    (Color::LightCyan, [85, 255, 255]),
    (Color::White, [255, 255, 255]),
];

const SHADES: [&str; 5] = [" ", "░", "▒", "▓", "█"];

impl Depth {
    /// By what the environment says of the terminal.
    pub fn of_terminal(has_colour: bool, colour_term: Option<&str>, term: Option<&str>) -> Self {
        let has_true = colour_term.is_some_and(|value| matches!(value, "truecolor" | "24bit"));
        match (has_colour, has_true, term) {
            (false, ..) => Self::None,
            (true, true, _) => Self::True,
            (true, false, Some(term)) if term.contains("256") || term.contains("kitty") => Self::Indexed,
            (true, false, _) => Self::Sixteen,
        }
    }

    /// Recolours half blocks that were drawn in true colours.
    pub fn apply(self, area: Rect, buffer: &mut Buffer) {
        for position in area.positions() {
            let Some(cell) = buffer.cell_mut(position) else { continue };
            match self {
                Self::True => return,
                Self::Indexed | Self::Sixteen => {
                    cell.fg = self.nearest(cell.fg);
                    cell.bg = self.nearest(cell.bg);
                }
                Self::None => {
                    let blank = matches!(cell.symbol(), " ");
                    let lightness = match (lightness(cell.fg), lightness(cell.bg)) {
                        (_, Some(below)) if blank => Some(below),
                        (Some(one), Some(other)) => Some((one + other) / 2.0),
                        (one, other) => one.or(other),
                    };
                    cell.reset();
                    if let Some(lightness) = lightness {
                        let shade = (lightness * SHADES.len() as f64) as usize;
                        cell.set_symbol(SHADES[shade.min(SHADES.len() - 1)]);
                    }
                }
            }
        }
    }

    fn nearest(self, colour: Color) -> Color {
        let Color::Rgb(red, green, blue) = colour else { return colour };
        let rgb = [red, green, blue];
        match self {
            Self::Indexed => nearest_indexed(rgb),
            _ => {
                let distances = SIXTEEN.iter().map(|(colour, known)| (distance(rgb, *known), *colour));
                distances.min_by_key(|(distance, _)| *distance).map_or(colour, |(_, nearest)| nearest)
            }
        }
    }
}

/// The nearest of xterm's colour cube (steps 0, 95, 135, 175, 215, 255) and its 24 greys (8, 18, … 238).
fn nearest_indexed(rgb: [u8; 3]) -> Color {
    let step = |value: u8| match value {
        0..48 => 0u8,
        48..115 => 1,
        _ => (value - 35) / 40,
    };
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    let [red, green, blue] = rgb.map(step);
    let cube = [red, green, blue].map(level);
    let mean = rgb.iter().map(|value| u32::from(*value)).sum::<u32>() / 3;
    let grey_step = (mean.saturating_sub(3) / 10).min(23) as u8;
    let grey = [8 + 10 * grey_step; 3];
    if distance(rgb, grey) < distance(rgb, cube) {
        Color::Indexed(232 + grey_step)
    } else {
        Color::Indexed(16 + 36 * red + 6 * green + blue)
    }
}

fn distance(one: [u8; 3], other: [u8; 3]) -> u32 {
    one.iter().zip(other).map(|(one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
}

/// 0 (black) to 1 (white), by the weights of Rec. 601.
fn lightness(colour: Color) -> Option<f64> {
    let Color::Rgb(red, green, blue) = colour else { return None };
    Some((0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    #[test]
    fn the_environment_says_how_many_colours_there_are() {
        assert_eq!(Depth::of_terminal(false, Some("truecolor"), Some("xterm-256color")), Depth::None);
        assert_eq!(Depth::of_terminal(true, Some("truecolor"), Some("xterm")), Depth::True);
        assert_eq!(Depth::of_terminal(true, None, Some("xterm-256color")), Depth::Indexed);
        assert_eq!(Depth::of_terminal(true, None, Some("linux")), Depth::Sixteen);
        assert_eq!(Depth::of_terminal(true, Some(""), None), Depth::Sixteen);
    }

    #[test]
    fn colours_become_the_nearest_there_are() {
        assert_eq!(Depth::Indexed.nearest(Color::Rgb(255, 0, 0)), Color::Indexed(196));
        assert_eq!(Depth::Indexed.nearest(Color::Rgb(128, 128, 128)), Color::Indexed(244));
        assert_eq!(Depth::Sixteen.nearest(Color::Rgb(250, 240, 90)), Color::LightYellow);
        assert_eq!(Depth::Sixteen.nearest(Color::Reset), Color::Reset);
        for value in 0..=255 {
            let Color::Indexed(index) = nearest_indexed([value; 3]) else { panic!("not indexed") };
            assert!(index >= 16);
        }
    }

    #[test]
    fn without_colour_a_picture_is_drawn_in_shades() {
        let area = Rect::new(0, 0, 3, 1);
        let mut buffer = Buffer::empty(area);
        let style = |value: u8| Style::new().fg(Color::Rgb(value, value, value)).bg(Color::Rgb(value, value, value));
        for (x, value) in [(0, 0), (1, 128), (2, 255)] {
            buffer.set_string(x, 0, "▀", style(value));
        }
        Depth::None.apply(area, &mut buffer);
        assert_eq!(buffer, Buffer::with_lines([" ▒█"]));
    }
}
