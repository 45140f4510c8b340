//! Which part of a picture is looked at.

/// How close, and where: both in steps, so that a part that was seen before is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zoom {
    /// Index into [`FACTORS`].
    level: u8,
    /// Place of the window in what it leaves free, in [`STEPS`]ths.
    across: u8,
    down: u8,
}

/// How many times larger than when the whole picture fits.
const FACTORS: [f64; 7] = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0];

const STEPS: u8 = 16;

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Default for Zoom {
    fn default() -> Self {
        Self { level: 0, across: STEPS / 2, down: STEPS / 2 }
    }
}

impl Zoom {
    pub fn factor(self) -> f64 {
        FACTORS[usize::from(self.level)]
    }

    pub fn is_close(self) -> bool {
        self.level > 0
    }

    /// One step closer; whether there was one.
    pub fn closer(&mut self) -> bool {
        let can = usize::from(self.level) + 1 < FACTORS.len();
        if can {
            self.level += 1;
        }
        can
    }

    /// One step back; whether there was one.
    pub fn farther(&mut self) -> bool {
        let can = self.level > 0;
        self.level = self.level.saturating_sub(1);
        if self.level == 0 {
            *self = Self::default();
        }
        can
    }

    /// Moves the window; whether it moved.
    pub fn pan(&mut self, right: i8, down: i8) -> bool {
        let moved = |place: u8, by: i8| place.saturating_add_signed(by).min(STEPS);
        let next = Self { across: moved(self.across, right), down: moved(self.down, down), ..*self };
        let is_other = next != *self;
        *self = next;
        is_other
    }

    /// The part of a picture that is seen in a window, both in pixels: it has the shape of the window where the picture
    /// is larger than that, and is never empty.
    pub fn part(self, picture: (u32, u32), window: (u32, u32)) -> Part {
        let fits = (f64::from(window.0) / f64::from(picture.0)).min(f64::from(window.1) / f64::from(picture.1));
        let scale = fits * self.factor();
        let seen = |window: u32, picture: u32| ((f64::from(window) / scale).round() as u32).clamp(1, picture.max(1));
        let (width, height) = (seen(window.0, picture.0), seen(window.1, picture.1));
        let place = |free: u32, step: u8| (u64::from(free) * u64::from(step) / u64::from(STEPS)) as u32;
        Part {
            x: place(picture.0.saturating_sub(width), self.across),
            y: place(picture.1.saturating_sub(height), self.down),
            width,
            height,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn at_first_all_of_the_picture_is_seen() {
        let part = Zoom::default().part((640, 480), (300, 300));
        assert_eq!(part, Part { x: 0, y: 0, width: 640, height: 480 });
    }

    #[test]
    fn closer_means_a_smaller_part_of_the_shape_of_the_window() {
        let mut zoom = Zoom::default();
        assert!(zoom.closer() && zoom.closer());
        let part = zoom.part((640, 480), (320, 320));
        // Twice as close: half a picture's width, and all its height would be 320 of 480.
        assert_eq!(part, Part { x: 160, y: 80, width: 320, height: 320 });
        assert!(zoom.pan(1, 0));
        assert_eq!(zoom.part((640, 480), (320, 320)).x, 180);
    }

    #[test]
    fn the_window_stops_at_the_edges_and_returns_to_the_middle() {
        let mut zoom = Zoom::default();
        assert!(!zoom.farther());
        while zoom.closer() {}
        let steps = (0..100).take_while(|_| zoom.pan(-1, 1)).count();
        assert_eq!(steps, 8);
        let part = zoom.part((800, 800), (100, 100));
        assert_eq!((part.x, part.y + part.height), (0, 800));
        while zoom.farther() {}
        assert_eq!(zoom, Zoom::default());
    }

    proptest! {
        #[test]
        fn a_part_lies_within_its_picture(
            width in 1u32..5000, height in 1u32..5000, across in 1u32..2000, down in 1u32..2000,
            level in 0u8..7, x in 0u8..=16, y in 0u8..=16,
        ) {
            let zoom = Zoom { level, across: x, down: y };
            let part = zoom.part((width, height), (across, down));
            prop_assert!(part.width >= 1 && part.height >= 1);
            prop_assert!(part.x + part.width <= width && part.y + part.height <= height);
        }
    }
}
