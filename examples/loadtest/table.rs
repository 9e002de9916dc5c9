//! Medians, ratios and spread as a table that can be pasted into a README.

use crate::failure::Failure;
use crate::server::Contender;

use std::fmt;

/// A column for each contender. The first one is compared with the second.
pub struct Table {
    title: String,
    contenders: Vec<Contender>,
    rows: Vec<Row>,
    /// Why there are no rows, where that is so.
    left_out: Option<Failure>,
}

struct Row {
    name: String,
    /// One for each column; empty where there is nothing to say.
    samples: Vec<Samples>,
}

/// What several runs gave for one figure.
#[derive(Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn extend(&mut self, others: &Samples) {
        self.0.extend_from_slice(&others.0);
    }

    pub fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The value below which this share of them lies, by the nearest rank; 0 if there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let sorted = self.sorted();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// `0.342 (0.338-0.360)`: the median, and the least and the most.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        let [least, most] = [0.0, 1.0].map(|share| rounded(self.quantile(share)));
        write!(f, "{} ({least}-{most})", rounded(self.median()))
    }
}

impl Table {
    pub fn new(title: impl Into<String>, contenders: &[Contender]) -> Table {
        Table {
            title: title.into(),
            contenders: contenders.to_vec(),
            rows: vec![],
            left_out: None,
        }
    }

    /// In place of what cannot be measured on this machine.
    pub fn left_out(title: impl Into<String>, why: Failure) -> Table {
        Table {
            left_out: Some(why),
            ..Table::new(title, &[])
        }
    }

    pub fn push(
        &mut self,
        name: impl Into<String>,
        cells: impl IntoIterator<Item = (Contender, Samples)>,
    ) {
        let mut samples = vec![Samples::default(); self.contenders.len()];
        for (contender, cell) in cells {
            if let Some(column) = self.contenders.iter().position(|&it| it == contender) {
                samples[column] = cell;
            }
        }
        self.rows.push(Row {
            name: name.into(),
            samples,
        });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(why) = &self.left_out {
            return writeln!(f, "{}\n\nleft out: {why}", self.title);
        }
        let mut header = vec![String::new()];
        header.extend(self.contenders.iter().map(|who| who.name().to_string()));
        if self.contenders.len() > 1 {
            header.push("ratio".to_string());
        }
        let mut lines = vec![header];
        lines.extend(self.rows.iter().map(Row::cells));
        let widths: Vec<usize> = (0..lines[0].len())
            .map(|column| {
                let cells = lines.iter().map(|line| line[column].chars().count());
                cells.max().unwrap_or(0)
            })
            .collect();
        lines.insert(1, widths.iter().map(|&width| "-".repeat(width)).collect());
        writeln!(f, "{}\n", self.title)?;
        for line in lines {
            for (cell, width) in line.iter().zip(&widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

impl Row {
    /// As many as the table has columns, and the ratio where there is more than one.
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.name.clone()];
        cells.extend(self.samples.iter().map(Samples::to_string));
        if let [ours, theirs, ..] = &self.samples[..] {
            cells.push(match theirs.median() {
                0.0 => "-".to_string(),
                median => ratio(ours.median() / median),
            });
        }
        cells
    }
}

/// Two digits behind the point, or the first that is not 0.
fn ratio(value: f64) -> String {
    let decimals = match value {
        0.01.. | 0.0 => 2,
        0.001.. => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// Three digits that mean something, and no more.
fn rounded(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.0 => 0,
        _ => 3,
    };
    format!("{value:.decimals$}")
}
