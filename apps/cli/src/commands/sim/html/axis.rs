//! Where things stand in a chart.

/// A chart's size, and what its axes measure.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) class: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Marks on the axis of time, at most.
    ticks: usize,
}

/// For large screens and for small ones.
pub(super) const FRAMES: [Frame; 2] = [
    Frame { class: "wide", width: 1120.0, height: 350.0, ticks: 16 },
    Frame { class: "narrow", width: 360.0, height: 300.0, ticks: 6 },
];

pub(super) const LEFT: f64 = 40.0;
const RIGHT: f64 = 8.0;
/// Room for the letters of events, in two rows.
pub(super) const TOP: f64 = 38.0;
const BOTTOM: f64 = 40.0;

/// The axes of one chart.
pub(super) struct Axes {
    pub(super) frame: Frame,
    seconds: f64,
    most: f64,
    step: f64,
}

impl Axes {
    /// From 0 to so many `minutes`, and from 0 to `most` or a little more.
    pub(super) fn new(frame: Frame, minutes: u32, most: usize) -> Self {
        let step = nice(most as f64 / 5.0);
        let most = (most as f64 / step).ceil().max(1.0) * step;
        Self { frame, seconds: f64::from(minutes) * 60.0, most, step }
    }

    pub(super) fn x(&self, secs: u32) -> f64 {
        LEFT + f64::from(secs) / self.seconds * (self.frame.width - LEFT - RIGHT)
    }

    pub(super) fn y(&self, value: usize) -> f64 {
        let room = self.frame.height - TOP - BOTTOM;
        TOP + room - value as f64 / self.most * room
    }

    /// Lines, numbers and names of both axes.
    pub(super) fn draw(&self) -> String {
        let Frame { width, height, ticks, .. } = self.frame;
        let mut svg = String::from("<g class=\"grid\">\n");
        let marks = (self.most / self.step).round() as usize;
        for value in (0..=marks).map(|mark| mark as f64 * self.step) {
            let y = self.y(value as usize);
            svg.push_str(&format!(
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"end\" x=\"{}\" y=\"{:.1}\">{value}</text>\n",
                width - RIGHT,
                LEFT - 6.0,
                y + 4.5
            ));
        }
        let minutes = (self.seconds / 60.0) as u32;
        let step = minutes_between(minutes, ticks);
        for minute in (0..=minutes).step_by(step as usize) {
            let (x, y) = (self.x(minute * 60), height - BOTTOM + 17.0);
            svg.push_str(&format!("<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{minute}</text>\n"));
        }
        let middle = LEFT + (width - LEFT - RIGHT) / 2.0;
        svg.push_str(&format!(
            "<text class=\"middle\" x=\"{middle}\" y=\"{}\">simulated minutes</text>\n</g>\n",
            height - 5.0
        ));
        svg
    }
}

/// The next of 1, 2, 5, 10, 20, 50 …
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= value)
        .unwrap_or(10.0 * power)
        .max(1.0)
}

fn minutes_between(minutes: u32, ticks: usize) -> u32 {
    let steps = [1, 2, 5, 10, 15, 20, 30, 60, 120];
    steps.into_iter().find(|step| minutes / step <= ticks as u32).unwrap_or(240)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers() {
        assert_eq!(
            [0.0, 0.4, 1.0, 3.1, 5.0, 7.0, 41.0, 52.0, 230.0].map(nice),
            [1.0, 1.0, 1.0, 5.0, 5.0, 10.0, 50.0, 100.0, 500.0]
        );
        assert_eq!([1, 6, 7, 30, 240].map(|minutes| minutes_between(minutes, 6)), [1, 1, 2, 5, 60]);
    }

    #[test]
    fn what_is_most_is_at_the_top_and_the_end_is_at_the_right() {
        for frame in FRAMES {
            let axes = Axes::new(frame, 30, 200);
            assert_eq!((axes.x(0), axes.x(1800)), (LEFT, frame.width - RIGHT));
            assert_eq!((axes.y(0), axes.y(200)), (frame.height - BOTTOM, TOP));
            // Nothing is divided by what is not there.
            assert!(Axes::new(frame, 1, 0).y(0).is_finite());
        }
    }
}
