//! Draws a scene: flat shapes with a thin outline on a pale ground, anti-aliased, no two pictures alike.
//!
//! Lengths are in units of the picture that the small model sees (96 units a side); another side only scales them.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, OutlineCurve};
use image::RgbImage;
use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

use super::random::{Dice, Purpose};
use super::scene::{Colour, Object, Scene, Shape, Sign, Size, Split};

/// Side of the picture that the small model sees, in pixels.
pub const SIDE: u32 = 96;

const CELL: f32 = SIDE as f32 / 3.0;

/// The picture of a scene, [`SIDE`] pixels a side; another seed gives other tints, jitter and typefaces.
pub fn draw(scene: &Scene, seed: u64) -> RgbImage {
    draw_with_side(scene, seed, SIDE)
}

/// The same picture with `side` (1 to 4,096) pixels a side.
pub fn draw_with_side(scene: &Scene, seed: u64, side: u32) -> RgbImage {
    let side = side.clamp(1, 4_096);
    let dice = &mut Dice::new(Purpose::Picture, Split::Train, seed, 0);
    let mut canvas = Canvas {
        pixels: Pixmap::new(side, side).expect("a side from 1 to 4,096 is neither empty nor too large"),
        scale: side as f32 / SIDE as f32,
    };
    // Light enough to tell from every colour, dark enough for white to stand out.
    let ground = hsv(dice.unit() as f32 * 360.0, 0.12 + 0.08 * dice.jitter(), 0.84 + 0.05 * dice.jitter());
    canvas.pixels.fill(ground);
    for object in &scene.objects {
        draw_object(&mut canvas, object, dice);
    }
    if let Some(sign) = &scene.sign {
        draw_sign(&mut canvas, sign, dice);
    }
    let bytes = canvas.pixels.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    RgbImage::from_raw(side, side, bytes).expect("three bytes for each of the pixels")
}

struct Canvas {
    pixels: Pixmap,
    scale: f32,
}

impl Canvas {
    fn fill(&mut self, path: &Path, colour: Color, at: Transform) {
        let at = at.post_scale(self.scale, self.scale);
        self.pixels.fill_path(path, &paint(colour), FillRule::EvenOdd, at, None);
    }

    fn stroke(&mut self, path: &Path, colour: Color, width: f32, at: Transform) {
        let stroke = Stroke { width, line_join: tiny_skia::LineJoin::Round, ..Stroke::default() };
        let at = at.post_scale(self.scale, self.scale);
        self.pixels.stroke_path(path, &paint(colour), &stroke, at, None);
    }
}

fn paint(colour: Color) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour);
    paint.anti_alias = true;
    paint
}

fn draw_object(canvas: &mut Canvas, object: &Object, dice: &mut Dice) {
    let radius = match object.size {
        Size::Large => 12.0,
        Size::Small => 7.2,
    } * (1.0 + 0.06 * dice.jitter());
    let middle = |index: usize, jitter: f32| (index as f32 + 0.5) * CELL + 1.7 * jitter;
    let (x, y) = (middle(object.place.column(), dice.jitter()), middle(object.place.row(), dice.jitter()));
    let (fill, outline) = tints(object.colour, dice);
    let at = Transform::from_translate(x, y);
    if let Some(path) = outline_of(object.shape, radius) {
        canvas.fill(&path, fill, at);
        canvas.stroke(&path, outline, 1.0, at);
    }
}

/// The closed outline of a shape about the origin.
fn outline_of(shape: Shape, radius: f32) -> Option<Path> {
    let mut path = PathBuilder::new();
    match shape {
        Shape::Circle => path.push_circle(0.0, 0.0, radius),
        Shape::Ring => {
            path.push_circle(0.0, 0.0, radius);
            path.push_circle(0.0, 0.0, radius * 0.52);
        }
        Shape::Square => {
            let half = radius * 0.86;
            path.push_rect(Rect::from_ltrb(-half, -half, half, half)?);
        }
        Shape::Triangle => polygon(&mut path, 3, |_| radius * 1.12, radius * 0.2),
        Shape::Star => {
            polygon(&mut path, 10, |corner| radius * if corner % 2 == 0 { 1.12 } else { 0.48 }, radius * 0.06)
        }
        Shape::Cross => {
            let (arm, half) = (radius * 1.02, radius * 0.36);
            let corners = [(half, arm), (half, half), (arm, half)];
            // A quarter of the outline at a time, from the arm that points down, against the clock on the screen.
            for quarter in 0..4 {
                for (x, y) in corners {
                    let (x, y) = match quarter {
                        0 => (x, y),
                        1 => (y, -x),
                        2 => (-x, -y),
                        _ => (-y, x),
                    };
                    if path.is_empty() { path.move_to(x, y) } else { path.line_to(x, y) }
                }
            }
            path.close();
        }
    }
    path.finish()
}

/// The first corner points up; `shift` moves the whole down, so that its weight lies on the middle.
fn polygon(path: &mut PathBuilder, corners: usize, radius: impl Fn(usize) -> f32, shift: f32) {
    for corner in 0..corners {
        let angle = std::f32::consts::TAU * corner as f32 / corners as f32;
        let (x, y) = (radius(corner) * angle.sin(), shift - radius(corner) * angle.cos());
        if corner == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
}

/// A tint of the colour and the darker one of its outline.
fn tints(colour: Colour, dice: &mut Dice) -> (Color, Color) {
    let (hue, saturation, value) = match colour {
        Colour::Red => (0.0, 0.86, 0.84),
        Colour::Orange => (29.0, 0.95, 0.96),
        Colour::Yellow => (54.0, 0.90, 0.95),
        Colour::Green => (125.0, 0.72, 0.60),
        Colour::Blue => (219.0, 0.80, 0.84),
        Colour::Purple => (284.0, 0.66, 0.62),
        Colour::Black => (0.0, 0.0, 0.12),
        Colour::White => (0.0, 0.0, 0.985),
    };
    let (hue, lightness) = (hue + 4.0 * dice.jitter(), dice.jitter());
    let value = match colour {
        Colour::Black => value + 0.05 * lightness,
        Colour::White => value + 0.015 * lightness,
        _ => value + 0.04 * lightness,
    };
    let saturation = if saturation > 0.0 { saturation + 0.05 * dice.jitter() } else { saturation };
    (hsv(hue, saturation, value), hsv(hue, saturation, value * 0.55))
}

/// Hue in degrees; saturation and value in [0, 1] (clamped).
fn hsv(hue: f32, saturation: f32, value: f32) -> Color {
    let (saturation, value) = (saturation.clamp(0.0, 1.0), value.clamp(0.0, 1.0));
    let channel = |offset: f32| {
        let k = (offset + hue.rem_euclid(360.0) / 60.0).rem_euclid(6.0);
        (value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)).clamp(0.0, 1.0)
    };
    Color::from_rgba(channel(5.0), channel(3.0), channel(1.0), 1.0).unwrap_or(Color::BLACK)
}

fn draw_sign(canvas: &mut Canvas, sign: &Sign, dice: &mut Dice) {
    let hue = dice.unit() as f32 * 360.0;
    let (plate, ink) = if dice.chance(0.75) {
        (hsv(hue, 0.06, 0.985), hsv(hue, 0.5, 0.16 + 0.06 * dice.jitter()))
    } else {
        (hsv(hue, 0.5, 0.24), hsv(hue, 0.05, 0.99))
    };
    let middle = (sign.row.index() as f32 + 0.5) * CELL + dice.jitter();
    let Some(rect) = Rect::from_ltrb(2.0, middle - 13.0, SIDE as f32 - 2.0, middle + 13.0) else { return };
    let path = PathBuilder::from_rect(rect);
    canvas.fill(&path, plate, Transform::identity());
    canvas.stroke(&path, hsv(hue, 0.4, 0.35), 1.0, Transform::identity());

    let text = sign.text.to_string().to_uppercase();
    let typefaces = typefaces();
    let typeface = &typefaces[dice.below(typefaces.len())];
    let letters: Vec<&Letter> = text.bytes().filter_map(|byte| typeface.letter(byte)).collect();
    // Capitals 17 to 19 units high, narrowed where the word would not fit.
    let height = 18.0 + dice.jitter();
    let width: f32 = letters.iter().map(|letter| letter.advance).sum::<f32>() * height;
    let narrowed = (86.0 / width).min(1.0);
    let mut x = SIDE as f32 / 2.0 - width * narrowed / 2.0 + dice.jitter();
    let baseline = middle + height / 2.0 + 0.5 * dice.jitter();
    for letter in letters {
        let at = Transform::from_row(height * narrowed, 0.0, 0.0, -height, x, baseline);
        if let Some(path) = &letter.outline {
            let at = at.post_scale(canvas.scale, canvas.scale);
            canvas.pixels.fill_path(path, &paint(ink), FillRule::Winding, at, None);
        }
        if let Some(path) = &letter.outline
            && typeface.weight > 0.0
        {
            canvas.stroke(path, ink, typeface.weight, at);
        }
        x += letter.advance * height * narrowed;
    }
}

/// The capitals and digits of a font as outlines, one unit being the height of a capital.
struct Typeface {
    letters: Vec<Letter>,
    /// Width of the line drawn about light letters, in heights of a capital.
    weight: f32,
}

struct Letter {
    outline: Option<Path>,
    /// In heights of a capital.
    advance: f32,
}

const GLYPHS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

impl Typeface {
    fn new(font: &[u8], weight: f32) -> Option<Self> {
        let font = FontRef::try_from_slice(font).ok()?;
        let unit = 1.0 / font.outline(font.glyph_id('H'))?.bounds.height().abs();
        let letters = GLYPHS
            .iter()
            .map(|&byte| {
                let glyph = font.glyph_id(char::from(byte));
                let outline = font.outline(glyph).and_then(|outline| path_of(&outline.curves, unit));
                Letter { outline, advance: font.h_advance_unscaled(glyph) * unit }
            })
            .collect();
        Some(Self { letters, weight })
    }

    fn letter(&self, byte: u8) -> Option<&Letter> {
        self.letters.get(GLYPHS.iter().position(|&glyph| glyph == byte)?)
    }
}

fn path_of(curves: &[OutlineCurve], unit: f32) -> Option<Path> {
    let mut path = PathBuilder::new();
    let mut pen = None;
    for curve in curves {
        let (start, end) = match curve {
            OutlineCurve::Line(a, b) | OutlineCurve::Quad(a, _, b) | OutlineCurve::Cubic(a, _, _, b) => (*a, *b),
        };
        if pen != Some(start) {
            path.move_to(start.x * unit, start.y * unit);
        }
        match curve {
            OutlineCurve::Line(..) => path.line_to(end.x * unit, end.y * unit),
            OutlineCurve::Quad(_, c, _) => path.quad_to(c.x * unit, c.y * unit, end.x * unit, end.y * unit),
            OutlineCurve::Cubic(_, c, d, _) => {
                path.cubic_to(c.x * unit, c.y * unit, d.x * unit, d.y * unit, end.x * unit, end.y * unit)
            }
        }
        pen = Some(end);
    }
    path.finish()
}

/// Hack, and Ubuntu Light with its strokes thickened.
fn typefaces() -> &'static [Typeface] {
    static TYPEFACES: OnceLock<Vec<Typeface>> = OnceLock::new();
    TYPEFACES.get_or_init(|| {
        [(epaint_default_fonts::HACK_REGULAR, 0.03), (epaint_default_fonts::UBUNTU_LIGHT, 0.08)]
            .into_iter()
            .filter_map(|(font, weight)| Typeface::new(font, weight))
            .collect()
    })
}
