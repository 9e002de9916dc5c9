//! How long lines take: for each situation the share of lines that have arrived after a time.

use super::{Area, Drawn, FAINT_INK, GRID, GROUND, INK, SCALE, at, colour, drawing, font};
use crate::server::Contender;
use crate::table::Samples;

use plotters::prelude::*;

/// One situation, with a curve for each contender.
pub struct Panel {
    pub situation: String,
    curves: Vec<(Contender, Samples)>,
}

impl Panel {
    pub fn new(situation: &str) -> Panel {
        Panel {
            situation: situation.to_string(),
            curves: vec![],
        }
    }

    pub fn add(&mut self, contender: Contender, latencies_us: &Samples) {
        match self.curves.iter_mut().find(|(who, _)| *who == contender) {
            Some((_, samples)) => samples.extend(latencies_us),
            None => self.curves.push((contender, latencies_us.clone())),
        }
    }
}

const PANEL_WIDTH: u32 = 300;
const HEIGHT: u32 = 340;
const TITLE_HEIGHT: u32 = 30;

/// What there is on the axis, in microseconds.
const TIMES_US: [f64; 6] = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

pub fn draw(panels: &[Panel]) -> Drawn<String> {
    let size = (PANEL_WIDTH * panels.len() as u32, HEIGHT);
    drawing(size, |area| {
        area.fill(&GROUND)?;
        let (title, rest) = area.split_vertically(TITLE_HEIGHT * SCALE);
        let text =
            "Share of lines that have reached a follower, by the time since they were appended";
        title.draw_text(text, &font(15, &INK), at(14, 8))?;
        for (panel, area) in panels.iter().zip(rest.split_evenly((1, panels.len()))) {
            draw_panel(panel, &area)?;
        }
        area.present()?;
        Ok(())
    })
}

fn draw_panel(panel: &Panel, area: &Area) -> Drawn<()> {
    let (head, body) = area.split_vertically(64 * SCALE);
    head.draw_text(&panel.situation, &font(13, &INK), at(46, 6))?;
    for (number, (contender, latencies_us)) in panel.curves.iter().enumerate() {
        let [median, p90] = [0.5, 0.9].map(|share| words(latencies_us.quantile(share)));
        let text = format!("{}: median {median}, p90 {p90}", contender.name());
        let place = at(46, 27 + 17 * number as i32);
        head.draw_text(&text, &font(12, &colour(*contender)), place)?;
    }
    let [least_us, .., most_us] = TIMES_US;
    let times = (least_us..most_us)
        .log_scale()
        .with_key_points(TIMES_US.to_vec());
    let mut chart = ChartBuilder::on(&body)
        .margin_top(6 * SCALE)
        .margin_right(14 * SCALE)
        .margin_bottom(4 * SCALE)
        .x_label_area_size(28 * SCALE)
        .y_label_area_size(46 * SCALE)
        .build_cartesian_2d(times, 0.0..100.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(SCALE))
        .axis_style(GRID.stroke_width(SCALE))
        .label_style(font(11, &FAINT_INK))
        .x_label_formatter(&|us| words(*us))
        .y_labels(6)
        .y_label_formatter(&|share| format!("{share:.0} %"))
        .draw()?;
    for (contender, latencies_us) in panel.curves.iter().rev() {
        let style = colour(*contender).stroke_width(2 * SCALE);
        chart.draw_series(LineSeries::new(curve(latencies_us), style))?;
    }
    Ok(())
}

/// A point for each half of a hundredth: more could not be seen.
fn curve(latencies_us: &Samples) -> Vec<(f64, f64)> {
    let [least_us, .., most_us] = TIMES_US;
    let sorted = latencies_us.sorted();
    (0..=200)
        .filter_map(|half| {
            let rank = (sorted.len() * half).div_ceil(200).max(1);
            let us = sorted.get(rank - 1)?;
            Some((us.clamp(least_us, most_us), half as f64 / 2.0))
        })
        .collect()
}

/// Two digits of a time, and its unit.
fn words(us: f64) -> String {
    let (number, unit) = match us {
        1e6.. => (us / 1e6, "s"),
        1e3.. => (us / 1e3, "ms"),
        _ => (us, "µs"),
    };
    let decimals = usize::from(number < 9.95 && number.fract() > 0.05);
    format!("{number:.decimals$} {unit}")
}
