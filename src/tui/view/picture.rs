//! Pictures: beside the text, or over the whole screen.

use std::path::Path;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::widgets::{Block, Widget as _};
use ratatui_image::Image;

use super::{Drawn, Scene, document};
use crate::tui::pictures::{Gallery, Shown, Wanted, Zoom};
use crate::tui::wrap::{fit, wrap};

/// Under each other, pictures have at least so many rows; else one is shown at a time.
const FEWEST_ROWS: u16 = 9;

/// So many cards ahead are looked at for pictures that come next, and so many other pictures are made ready.
const CARDS_AHEAD: usize = 40;
const PICTURES_AHEAD: usize = 3;

/// The pictures of the card, each with its name below it.
pub fn draw_beside(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let Some(gallery) = scene.gallery else { return };
    let images = &scene.card().images;
    for (index, place) in places(images.len(), scene.state.picture, area) {
        let picture = Rect { height: place.height.saturating_sub(1), ..place };
        let wanted = Wanted { path: images[index].clone(), size: size(picture), zoom: Zoom::default() };
        let bottom = draw(scene, gallery, &wanted, picture, buffer);
        drawn.wanted.push(wanted);
        let caption = caption(scene, index, Zoom::default());
        buffer.set_string(place.x + 1, bottom, fit(&caption, place.width - 1), scene.theme.dim());
    }
    look_ahead(scene, area, drawn);
}

/// One picture, as large as it gets.
pub fn draw_large(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let (Some(gallery), Some(path)) = (scene.gallery, scene.card().images.get(scene.state.picture)) else { return };
    let picture = Rect { height: area.height - 1, ..area };
    let wanted = Wanted { path: path.clone(), size: size(picture), zoom: scene.state.zoom };
    draw(scene, gallery, &wanted, picture, buffer);
    drawn.wanted.push(wanted);
    let caption = caption(scene, scene.state.picture, scene.state.zoom);
    buffer.set_string(area.x + 1, area.bottom() - 1, fit(&caption, area.width - 2), scene.theme.strong());
}

/// Draws one picture, or says why there is none; gives the row below it.
fn draw(scene: &Scene<'_>, gallery: &Gallery, wanted: &Wanted, area: Rect, buffer: &mut Buffer) -> u16 {
    let name = name(&wanted.path);
    match gallery.get(wanted) {
        Shown::Ready(protocol) => {
            let size = protocol.size();
            let (width, height) = (size.width.min(area.width), size.height.min(area.height));
            let place = Rect { x: area.x + (area.width - width) / 2, y: area.y, width, height };
            Image::new(protocol).allow_clipping(true).render(place, buffer);
            if let Some(depth) = gallery.block_depth() {
                depth.apply(place, buffer);
            }
            place.bottom()
        }
        Shown::NotYet => {
            document::lines(&format!("loading {name} …"), pad(area), scene.theme.dim(), buffer);
            area.bottom()
        }
        Shown::Failed(why) => {
            let text = format!("No picture: {name} {why}");
            let rows = u16::try_from(wrap(&text, pad(area).width).len()).unwrap_or(u16::MAX);
            let frame = Rect { height: rows.saturating_add(2).min(area.height), ..area };
            Block::bordered().border_style(scene.theme.dim()).render(frame, buffer);
            document::lines(&text, pad(frame), scene.theme.strong(), buffer);
            frame.bottom().min(area.bottom())
        }
    }
}

fn pad(area: Rect) -> Rect {
    Rect { x: area.x + 2, y: area.y + 1, width: area.width.saturating_sub(4), height: area.height.saturating_sub(2) }
}

fn size(area: Rect) -> Size {
    Size::new(area.width.max(1), area.height.max(1))
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn caption(scene: &Scene<'_>, index: usize, zoom: Zoom) -> String {
    let images = &scene.card().images;
    let mut caption = name(&images[index]);
    if images.len() > 1 {
        caption = format!("{} of {}: {caption}", index + 1, images.len());
    }
    if zoom.is_close() {
        caption = format!("{caption}, {} times closer", zoom.factor());
    }
    caption
}

/// Which pictures are shown where: all under each other where there is room, else the chosen one.
fn places(count: usize, chosen: usize, area: Rect) -> Vec<(usize, Rect)> {
    let each = area.height / u16::try_from(count.max(1)).unwrap_or(u16::MAX);
    if count > 1 && each < FEWEST_ROWS {
        return vec![(chosen.min(count - 1), area)];
    }
    let place = |index: usize| Rect { y: area.y + index as u16 * each, height: each, ..area };
    (0..count).map(|index| (index, place(index))).collect()
}

/// Wants the pictures of the cards that come next, in the size in which they will be shown.
fn look_ahead(scene: &Scene<'_>, area: Rect, drawn: &mut Drawn) {
    let cards = &scene.session.deck().cards;
    let here = scene.state.card;
    let after = cards.iter().skip(here + 1).take(CARDS_AHEAD);
    let before = cards[..here].last();
    let mut seen = vec![&scene.card().images];
    for card in after.chain(before) {
        if card.images.is_empty() || seen.contains(&&card.images) {
            continue;
        }
        seen.push(&card.images);
        for (index, place) in places(card.images.len(), 0, area) {
            let picture = Rect { height: place.height.saturating_sub(1), ..place };
            drawn.wanted.push(Wanted { path: card.images[index].clone(), size: size(picture), zoom: Zoom::default() });
        }
        if seen.len() > PICTURES_AHEAD {
            break;
        }
    }
}
