//! Plots as SVG inside of a page, in its colours (`style.css`).

use std::fmt::Write;

use maud::{Markup, html};

use super::{Plot, Series};

/// The drawing in its own units; the page scales it.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 220.0;
/// Room for the labels of the axes.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
/// More points than this are thinned out: there are not more pixels.
const MOST_POINTS: usize = 1200;
/// From this ratio between the ends of a histogram its axis is logarithmic.
const WIDE: f64 = 50.0;

/// Draws series of the same kind over each other. `None` where there is nothing to draw.
pub(super) fn plot(series: &[(&str, &Series)]) -> Option<Markup> {
    let first = series.first()?.1;
    let drawn: Vec<(&str, Vec<(f64, f64)>)> = series
        .iter()
        .map(|(name, series)| (*name, points(series)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all = || drawn.iter().flat_map(|(_, points)| points);
    let x = Axis::of(all().map(|point| point.0), first.kind == Plot::Histogram)?;
    let y = match first.kind {
        Plot::Line => Axis::from_zero(all().map(|point| point.1))?,
        Plot::Histogram => Axis::of_counts(all().map(|point| point.1))?,
    };
    let what = format!("{}: {} over {}", first.name, first.y, first.x);
    Some(html! {
        figure.plot {
            figcaption {
                (first.name)
                @if drawn.len() > 1 {
                    @for (n, (name, _)) in drawn.iter().enumerate() {
                        span.key { span class={ "swatch s" (n) } {} (name) }
                    }
                }
            }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(what) {
                title { (what) }
                (grid(&x, &y))
                @for (n, (_, points)) in drawn.iter().enumerate() {
                    @match first.kind {
                        Plot::Line => polyline class={ "line s" (n) } points=(line(points, &x, &y)) {},
                        Plot::Histogram => path class={ "area s" (n) } d=(steps(points, &x, &y)) {},
                    }
                }
                text.unit x=(number((LEFT + WIDTH - RIGHT) / 2.0)) y=(number(HEIGHT - 6.0)) text-anchor="middle" { (first.x) }
                text.unit x="12" y=(number((TOP + HEIGHT - BOTTOM) / 2.0)) text-anchor="middle"
                    transform=(format!("rotate(-90 12 {})", number((TOP + HEIGHT - BOTTOM) / 2.0))) { (first.y) }
            }
        }
    })
}

/// Returns the points that can be drawn, in order, and no more than there is room for.
fn points(series: &Series) -> Vec<(f64, f64)> {
    let is_finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let mut points: Vec<(f64, f64)> = series.points.iter().filter(is_finite).copied().collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    if points.len() <= MOST_POINTS {
        return points;
    }
    // Of each stretch the lowest and the highest, so that no peak is lost.
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let ends = points.chunks(stretch).flat_map(|part| {
        let low = part.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = part.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let mut both: Vec<_> = low.into_iter().chain(high).copied().collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        both
    });
    ends.collect()
}

/// From values to places.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, may_be_logarithmic: bool) -> Option<Axis> {
        let low = values.clone().reduce(f64::min)?;
        let high = values.reduce(f64::max)?;
        let positive = low.max(1.0);
        let logarithmic = may_be_logarithmic && high / positive > WIDE;
        let low = if logarithmic { positive } else { low };
        Some(Axis {
            low,
            high: if high > low { high } else { low + 1.0 },
            logarithmic,
        })
    }

    fn from_zero(values: impl Iterator<Item = f64> + Clone) -> Option<Axis> {
        let axis = Axis::of(values, false)?;
        let high = axis.high * 1.05;
        Some(Axis {
            low: axis.low.min(0.0),
            high,
            logarithmic: false,
        })
    }

    /// Counts of rare values are the reason to look at a histogram: one of them is seen beside a million of others.
    fn of_counts(counts: impl Iterator<Item = f64> + Clone) -> Option<Axis> {
        let axis = Axis::from_zero(counts)?;
        match axis.high > WIDE {
            false => Some(axis),
            true => Some(Axis {
                low: 0.5,
                high: axis.high * 1.5,
                logarithmic: true,
            }),
        }
    }

    /// Returns where a value lies, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let place = match self.logarithmic {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        place.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let powers = (self.low.log10().ceil() as i32)..=(self.high.log10().floor() as i32);
            return powers.map(|power| 10f64.powi(power)).collect();
        }
        let step = round_step((self.high - self.low) / 5.0);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last.min(first + 20))
            .map(|n| n as f64 * step)
            .collect()
    }
}

/// Returns the next of 1, 2 and 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|nice| nice * power >= step);
    nice.unwrap_or(10.0) * power
}

fn to_x(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)
}

fn to_y(axis: &Axis, value: f64) -> f64 {
    HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)
}

fn grid(x: &Axis, y: &Axis) -> Markup {
    html! {
        @for tick in y.ticks() {
            @let at = number(to_y(y, tick));
            line.grid x1=(number(LEFT)) x2=(number(WIDTH - RIGHT)) y1=(at) y2=(at) {}
            text.tick x=(number(LEFT - 6.0)) y=(at) text-anchor="end" dominant-baseline="middle" { (short(tick)) }
        }
        @for tick in x.ticks() {
            @let at = number(to_x(x, tick));
            line.grid x1=(at) x2=(at) y1=(number(TOP)) y2=(number(HEIGHT - BOTTOM)) {}
            text.tick x=(at) y=(number(HEIGHT - BOTTOM + 16.0)) text-anchor="middle" { (short(tick)) }
        }
    }
}

fn line(points: &[(f64, f64)], x: &Axis, y: &Axis) -> String {
    let mut text = String::new();
    for point in points {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{},{} ",
            number(to_x(x, point.0)),
            number(to_y(y, point.1))
        );
    }
    text
}

/// Draws each value from its point to the next one's.
fn steps(points: &[(f64, f64)], x: &Axis, y: &Axis) -> String {
    let ground = number(to_y(y, 0.0));
    let mut text = format!("M{},{ground} ", number(to_x(x, points[0].0)));
    for (n, point) in points.iter().enumerate() {
        let end = points.get(n + 1).unwrap_or(point);
        let at = number(to_y(y, point.1));
        let _ = write!(text, "V{at} H{} ", number(to_x(x, end.0)));
    }
    text + &format!("V{ground} Z")
}

/// Writes a place with as many digits as can be seen.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

/// Writes a number with the prefix of its thousands.
fn short(value: f64) -> String {
    let prefixes = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (unit, prefix) = prefixes
        .into_iter()
        .find(|(unit, _)| value.abs() >= *unit)
        .unwrap_or((1.0, ""));
    let scaled = value / unit;
    let digits = if scaled.abs() < 1.0 { 3 } else { 2 };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    let text = if text.is_empty() || text == "-0" {
        "0"
    } else {
        text
    };
    format!("{text}{prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(kind: Plot, points: Vec<(f64, f64)>) -> Series {
        Series {
            name: "n".into(),
            kind,
            x: "s".into(),
            y: "pairs".into(),
            points,
        }
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (0.25, "0.25"),
            (1500.0, "1.5k"),
            (2e6, "2M"),
            (-3e9, "-3G"),
            (999.0, "999"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn a_linear_axis_has_some_round_ticks() {
        for high in [1.0, 7.0, 63.0, 1e6, 3.3e9] {
            let axis = Axis {
                low: 0.0,
                high,
                logarithmic: false,
            };
            let ticks = axis.ticks();
            assert!((3..=11).contains(&ticks.len()), "{high}: {ticks:?}");
        }
    }

    #[test]
    fn one_among_a_million_is_seen() {
        let axis = Axis::of_counts([1e6, 1.0, 0.0].into_iter()).expect("an axis");
        assert!(axis.place(1.0) > 0.03 && axis.place(0.0) == 0.0);
        assert!(axis.place(1e6) > 0.9 && axis.ticks().len() >= 6);
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let nothing = [
            series(Plot::Line, vec![]),
            series(Plot::Line, vec![(f64::NAN, 1.0), (1.0, f64::INFINITY)]),
        ];
        assert!(nothing.iter().all(|series| plot(&[("", series)]).is_none()));
        assert!(plot(&[]).is_none());
        for kind in [Plot::Line, Plot::Histogram] {
            let one = series(kind, vec![(5.0, 0.0)]);
            let text = plot(&[("", &one)]).expect("a point").into_string();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }

    #[test]
    fn many_points_are_thinned_and_keep_their_peak() {
        let mut many: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), 1.0)).collect();
        many[77_777].1 = 9.0;
        let thin = points(&series(Plot::Line, many));
        assert!(
            thin.len() <= MOST_POINTS && thin.contains(&(77_777.0, 9.0)),
            "{}",
            thin.len()
        );
    }
}
