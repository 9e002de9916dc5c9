//! Medians, ratios and spread as a table that can be pasted into a README.

use std::fmt;

/// Two columns of figures to compare.
pub struct Table {
    title: String,
    columns: [&'static str; 2],
    rows: Vec<Row>,
}

struct Row {
    name: String,
    samples: [Samples; 2],
}

/// What several runs gave for one figure.
#[derive(Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value below which this share of them lies, by the nearest rank; 0 if there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
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
        let [least, most] = [0.0, 1.0].map(|share| rounded(self.quantile(share)));
        write!(f, "{} ({least}-{most})", rounded(self.median()))
    }
}

impl Table {
    pub fn new(title: impl Into<String>, columns: [&'static str; 2]) -> Table {
        Table {
            title: title.into(),
            columns,
            rows: vec![],
        }
    }

    pub fn push(&mut self, name: impl Into<String>, samples: [Samples; 2]) {
        self.rows.push(Row {
            name: name.into(),
            samples,
        });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [ours, theirs] = self.columns.map(str::to_string);
        let mut lines = vec![[String::new(), ours, theirs, "ratio".to_string()]];
        lines.extend(self.rows.iter().map(Row::cells));
        let widths = [0, 1, 2, 3].map(|column| {
            let cells = lines.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or(0)
        });
        lines.insert(1, widths.map(|width| "-".repeat(width)));
        writeln!(f, "{}\n", self.title)?;
        for line in lines {
            for (cell, width) in line.iter().zip(widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

impl Row {
    fn cells(&self) -> [String; 4] {
        let [ours, theirs] = &self.samples;
        let ratio = match theirs.median() {
            0.0 => "-".to_string(),
            median => format!("{:.2}", ours.median() / median),
        };
        [
            self.name.clone(),
            ours.to_string(),
            theirs.to_string(),
            ratio,
        ]
    }
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
