//! Pure: numbers of bytes as people read them.

/// Three digits or so of a number of bytes, in decimal units.
pub fn scaled(bytes: f64) -> String {
    let mut value = bytes;
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 999.5 {
        let Some(larger) = units.next() else { break };
        (value, unit) = (value / 1000.0, larger);
    }
    let decimals = usize::from(value < 99.95 && unit != "B");
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit() {
        for (bytes, expected) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "1.0 kB"),
            (12_345.0, "12.3 kB"),
            (123_456.0, "123 kB"),
            (999_600.0, "1.0 MB"),
            (1.5e12, "1.5 TB"),
            (1.8e22, "18000 EB"),
        ] {
            assert_eq!(scaled(bytes), expected);
        }
    }
}
