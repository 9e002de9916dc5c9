//! What is measured, as drawings for a README: SVG on a light ground, so that it can be read on a
//! dark page as well.

mod cost;
mod latency;

use crate::failure::{Failure, cannot};
use crate::server::Contender;
use crate::table::Samples;

use plotters::prelude::*;

use std::error::Error;
use std::fs;
use std::path::Path;

/// Collected while modes run, drawn at the end.
#[derive(Default)]
pub struct Plots {
    panels: Vec<latency::Panel>,
    costs: Vec<cost::Cost>,
}

impl Plots {
    /// Latencies of another run. Situations are drawn side by side, in the order they came in.
    pub fn latencies(&mut self, situation: &str, contender: Contender, latencies_us: &Samples) {
        let at = self.panels.iter().position(|it| it.situation == situation);
        let at = at.unwrap_or_else(|| {
            self.panels.push(latency::Panel::new(situation));
            self.panels.len() - 1
        });
        self.panels[at].add(contender, latencies_us);
    }

    /// CPU time a delivery, of another run.
    pub fn cost(&mut self, contender: Contender, followers: usize, cpu_us: f64) {
        let is_it = |it: &&mut cost::Cost| it.contender == contender && it.followers == followers;
        match self.costs.iter_mut().find(is_it) {
            Some(cost) => cost.cpu_us.push(cpu_us),
            None => self
                .costs
                .push(cost::Cost::new(contender, followers, cpu_us)),
        }
    }

    /// Those that there is something to draw for.
    pub fn write(&self, directory: &Path) -> Result<(), Failure> {
        if !self.panels.is_empty() {
            let svg = latency::draw(&self.panels).map_err(cannot("draw latencies"))?;
            write(&directory.join("latency.svg"), &svg)?;
        }
        if !self.costs.is_empty() {
            let svg = cost::draw(&self.costs).map_err(cannot("draw costs"))?;
            write(&directory.join("cost.svg"), &svg)?;
        }
        Ok(())
    }
}

fn write(path: &Path, svg: &str) -> Result<(), Failure> {
    fs::write(path, svg).map_err(cannot(format!("write {}", path.display())))
}

/// plotters counts in whole pixels: it draws everything this much larger than it is shown, so that
/// curves are smooth.
const SCALE: u32 = 2;

const GROUND: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(31, 35, 40);
const FAINT_INK: RGBColor = RGBColor(101, 109, 118);
const GRID: RGBColor = RGBColor(225, 228, 232);

fn colour(contender: Contender) -> RGBColor {
    match contender {
        Contender::Sendtail => RGBColor(9, 105, 218),
        _ => RGBColor(207, 94, 16),
    }
}

/// `size` is what a browser takes for it: plotters divides by 1.24 on its way to SVG.
fn font(size: u32, colour: &RGBColor) -> TextStyle<'static> {
    ("sans-serif", f64::from(size * SCALE) * 1.24)
        .into_font()
        .color(colour)
        .into_text_style(&(1, 1))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn<T> = Result<T, Box<dyn Error>>;

/// A drawing that is shown `width` by `height` pixels large.
fn drawing((width, height): (u32, u32), draw: impl FnOnce(&Area) -> Drawn<()>) -> Drawn<String> {
    let mut svg = String::new();
    let large = (width * SCALE, height * SCALE);
    draw(&SVGBackend::with_string(&mut svg, large).into_drawing_area())?;
    let shown = |(width, height)| format!(r#"width="{width}" height="{height}""#);
    Ok(svg.replacen(&shown(large), &shown((width, height)), 1))
}

/// A place, in pixels as they are shown.
fn at(x: i32, y: i32) -> (i32, i32) {
    (x * SCALE as i32, y * SCALE as i32)
}
