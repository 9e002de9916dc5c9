//! What a delivery costs, against the number of followers.

use super::{Area, Drawn, FAINT_INK, GRID, GROUND, INK, SCALE, at, colour, drawing, font};
use crate::server::Contender;
use crate::table::Samples;

use plotters::prelude::*;

/// One point of a curve, and what several runs gave.
pub struct Cost {
    pub contender: Contender,
    pub followers: usize,
    pub cpu_us: Samples,
}

impl Cost {
    pub fn new(contender: Contender, followers: usize, cpu_us: f64) -> Cost {
        let mut samples = Samples::default();
        samples.push(cpu_us);
        Cost {
            contender,
            followers,
            cpu_us: samples,
        }
    }

    fn point(&self) -> (f64, f64) {
        (self.followers as f64, self.cpu_us.median())
    }
}

const SIZE: (u32, u32) = (640, 330);
const TITLE_HEIGHT: u32 = 30;

/// A value stands above its point, or below where two curves may meet.
const VALUE_ABOVE: i32 = -22;
const VALUE_BELOW: i32 = 8;

pub fn draw(costs: &[Cost]) -> Drawn<String> {
    let mut contenders: Vec<Contender> = vec![];
    for cost in costs {
        if !contenders.contains(&cost.contender) {
            contenders.push(cost.contender);
        }
    }
    drawing(SIZE, |area| {
        area.fill(&GROUND)?;
        let (title, body) = area.split_vertically(TITLE_HEIGHT * SCALE);
        let text = "CPU time that the server takes for one delivery, by the number of followers";
        title.draw_text(text, &font(15, &INK), at(14, 8))?;
        draw_chart(costs, &contenders, &body)?;
        area.present()?;
        Ok(())
    })
}

fn draw_chart(costs: &[Cost], contenders: &[Contender], area: &Area) -> Drawn<()> {
    let points = |who: Contender| costs.iter().filter(move |cost| cost.contender == who);
    let most_us = costs.iter().map(|cost| cost.point().1).fold(0.0, f64::max);
    let numbers: Vec<f64> = points(contenders[0]).map(|cost| cost.point().0).collect();
    let least = numbers.iter().copied().fold(f64::MAX, f64::min);
    let most = numbers.iter().copied().fold(0.0, f64::max);
    let followers = (least / 1.6..most * 1.6)
        .log_scale()
        .with_key_points(numbers);
    let mut chart = ChartBuilder::on(area)
        .margin_top(28 * SCALE)
        .margin_right(18 * SCALE)
        .margin_bottom(6 * SCALE)
        .x_label_area_size(28 * SCALE)
        .y_label_area_size(52 * SCALE)
        .build_cartesian_2d(followers, 0.0..(most_us * 1.25).ceil())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(SCALE))
        .axis_style(GRID.stroke_width(SCALE))
        .label_style(font(11, &FAINT_INK))
        .x_label_formatter(&|followers| grouped(*followers as u64))
        .y_labels(6)
        .y_label_formatter(&|us| format!("{us} µs"))
        .draw()?;
    for (number, &contender) in contenders.iter().enumerate().rev() {
        let (colour, dy) = match number {
            0 => (colour(contender), VALUE_ABOVE),
            _ => (colour(contender), VALUE_BELOW),
        };
        let line = points(contender).map(Cost::point);
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2 * SCALE)))?;
        chart.draw_series(points(contender).map(|cost| {
            let value = format!("{:.1}", cost.cpu_us.median());
            EmptyElement::at(cost.point())
                + Circle::new((0, 0), 4 * SCALE, colour.filled())
                + Text::new(value, at(-10, dy), font(12, &colour))
        }))?;
        let name = font(13, &colour);
        let place = at(52 + 80 * number as i32, 4);
        area.draw_text(contender.name(), &name, place)?;
    }
    Ok(())
}

/// `10,000`.
fn grouped(number: u64) -> String {
    match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{},{rest:03}", grouped(thousands)),
    }
}
