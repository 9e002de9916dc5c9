//! The totals for Prometheus, in its text exposition format 0.0.4.
//!
//! Every name and every reason is there from the start, so that an increase from 0 shows as one.

use super::{Now, Report};
use crate::refusal::Refusal;

use std::fmt::Write;

/// A line a refusal: its label, and that it has one, whatever is added to them.
macro_rules! reasons {
    ($($refusal:pat => $label:literal),* $(,)?) => {
        const REASONS: &[&str] = &[$($label),*];

        /// The name of a refusal in the metrics.
        pub fn label(refusal: Refusal) -> &'static str {
            match refusal {
                $($refusal => $label),*
            }
        }
    };
}

reasons! {
    Refusal::BadStart => "bad_start",
    Refusal::BadHeader => "bad_header",
    Refusal::HeaderTooLong => "header_too_long",
    Refusal::UnknownOption => "unknown_option",
    Refusal::EmptyText => "empty_text",
    Refusal::TooManyTexts => "too_many_texts",
    Refusal::PathNeeded => "path_needed",
    Refusal::NoSuchFile => "no_such_file",
    Refusal::TryAgain => "try_again",
    Refusal::TooManyClients => "too_many_clients",
    Refusal::TooManyOfHost => "too_many_clients_of_host",
    Refusal::TooManyFiles => "too_many_files",
    Refusal::FileWasReplaced => "file_was_replaced",
    Refusal::NoHeader { .. } => "no_header",
    Refusal::ShuttingDown => "shutting_down",
    Refusal::MoreFiles => "list_too_long",
    Refusal::BadRequest => "bad_request",
    Refusal::MethodNotAllowed => "method_not_allowed",
    Refusal::VersionNotSupported => "version_not_supported",
    Refusal::UnknownQuery => "unknown_query",
    Refusal::WrongHost => "wrong_host",
    Refusal::CrossSite => "cross_site",
    Refusal::NotSatisfiable { .. } => "range_not_satisfiable",
    Refusal::PlaceIsGone => "place_is_gone",
}

/// Prometheus wants to know the version of the format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Enough for all of it.
const PAGE_BYTES: usize = 8 << 10;

/// Of a host that `--allow` does not name: it is refused before it could ask for anything.
const NOT_ALLOWED: &str = "not_allowed";

/// What Prometheus is told beside the text.
#[derive(Clone, Copy)]
enum Kind {
    /// Only goes up, until the process starts anew.
    Counter,
    Gauge,
}

/// The lines so far.
struct Page(String);

impl Report {
    /// All that is counted, as it is now.
    pub fn metrics(&self, now: &Now) -> String {
        let mut page = Page(String::with_capacity(PAGE_BYTES));
        self.write_clients(&mut page, now);
        page.gauge(
            "files_followed",
            "Names that clients follow.",
            now.files as u64,
        );
        page.gauge(
            "polled_files",
            "Names that are polled for want of an inotify watch.",
            now.polled_files as u64,
        );
        page.gauge(
            "segments_held",
            "Files held open, rotated ones among them.",
            now.segments as u64,
        );
        page.gauge(
            "held_bytes",
            "Disk space of deleted files that clients have yet to read.",
            now.held_bytes,
        );
        page.gauge(
            "lag_bytes_max",
            "What the client that is most behind has yet to get.",
            now.lag_bytes_max,
        );
        page.counter(
            "rotations_total",
            "Files that came to bear a followed name in place of another.",
            self.rotations,
        );
        page.counter(
            "truncations_total",
            "Followed files that were truncated.",
            self.truncations,
        );
        self.write_losses(&mut page);
        page.counter("turns_total", "Turns of the event loop.", self.turns);
        page.family(
            "build_info",
            Kind::Gauge,
            "Always 1: its label is the version.",
        );
        page.sample(
            "build_info",
            Some(("version", env!("CARGO_PKG_VERSION"))),
            1,
        );
        page.0
    }

    fn write_clients(&self, page: &mut Page, now: &Now) {
        page.family(
            "clients",
            Kind::Gauge,
            "Clients that have asked for something, by how they did.",
        );
        let faces = &now.faces;
        for (face, clients) in [
            ("raw", faces.raw),
            ("http", faces.http),
            ("events", faces.events),
        ] {
            page.sample("clients", Some(("face", face)), clients as u64);
        }
        page.counter(
            "connections_total",
            "Connections accepted.",
            self.connections,
        );
        page.family(
            "refused_total",
            Kind::Counter,
            "Requests and connections that were not granted, by reason.",
        );
        let refused = REASONS
            .iter()
            .map(|reason| (*reason, self.refused.get(reason).copied().unwrap_or(0)));
        for (reason, count) in refused.chain([(NOT_ALLOWED, self.denied)]) {
            page.sample("refused_total", Some(("reason", reason)), count);
        }
        page.counter(
            "bytes_sent_total",
            "Bytes of files that were sent to clients.",
            self.sent_bytes,
        );
    }

    /// What an administrator wants to hear of.
    fn write_losses(&self, page: &mut Page) {
        page.counter(
            "cut_streams_total",
            "Streams that were ended because they could not go on without a gap.",
            self.cut,
        );
        page.counter(
            "missed_bytes_total",
            "Bytes that clients of such streams did not get.",
            self.missed_bytes,
        );
        page.counter(
            "gaps_total",
            "Files of a followed name that were deleted before they could be opened.",
            self.gaps,
        );
        page.counter(
            "late_bytes_total",
            "Bytes that came to a rotated file after it was left.",
            self.late_bytes,
        );
        page.counter(
            "unverified_switches_total",
            "Changes from one file to another that no event explained.",
            self.unverified,
        );
    }
}

impl Page {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help);
        self.sample(name, None, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, None, value);
    }

    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(
            self.0,
            "# HELP sendtail_{name} {help}\n# TYPE sendtail_{name} {kind}"
        );
    }

    /// A label's value is one of ours, and needs no escaping.
    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: u64) {
        let _ = match label {
            Some((label, of)) => writeln!(self.0, "sendtail_{name}{{{label}=\"{of}\"}} {value}"),
            None => writeln!(self.0, "sendtail_{name} {value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::Note;
    use crate::report::Faces;
    use crate::socket::Peer;

    use std::collections::BTreeMap;
    use std::time::Duration;

    const NOW: Now = Now {
        clients: 7,
        faces: Faces {
            raw: 1,
            http: 2,
            events: 3,
        },
        files: 4,
        segments: 5,
        held_bytes: 6,
        watches: 7,
        polled_files: 8,
        lag_bytes_max: u64::MAX,
    };

    /// Each sample with its value.
    fn samples(page: &str) -> BTreeMap<&str, u64> {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        let parts = samples.map(|line| line.rsplit_once(' ').unwrap());
        parts
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn every_family_has_its_help_and_type_and_samples() {
        let page = Report::new(Duration::ZERO).metrics(&NOW);
        assert!(page.ends_with('\n') && page.is_ascii());
        let mut seen = vec![];
        let mut lines = page.lines().peekable();
        while let Some(help) = lines.next() {
            let (name, words) = help
                .strip_prefix("# HELP ")
                .unwrap()
                .split_once(' ')
                .unwrap();
            assert!(words.ends_with('.'), "{help}");
            let kind = match name.ends_with("_total") {
                true => "counter",
                false => "gauge",
            };
            assert_eq!(lines.next(), Some(&*format!("# TYPE {name} {kind}")));
            let is_sample = |line: &&str| !line.starts_with('#');
            let mut count = 0;
            while let Some(sample) = lines.next_if(is_sample) {
                assert_eq!(sample.split(['{', ' ']).next(), Some(name));
                count += 1;
            }
            assert!(count > 0, "{name} has no sample");
            assert!(
                name.starts_with("sendtail_") && !seen.contains(&name),
                "{name}"
            );
            seen.push(name);
        }
        assert_eq!(seen.len(), 18, "{seen:?}");
        assert!(page.len() <= PAGE_BYTES, "{} bytes", page.len());
    }

    #[test]
    fn values_are_those_of_the_moment() {
        let report = Report {
            connections: 10,
            sent_bytes: u64::MAX,
            turns: 12,
            cut: 13,
            missed_bytes: 14,
            ..Report::new(Duration::ZERO)
        };
        let page = report.metrics(&NOW);
        let samples = samples(&page);
        for (name, value) in [
            ("clients{face=\"raw\"}", 1),
            ("clients{face=\"http\"}", 2),
            ("clients{face=\"events\"}", 3),
            ("files_followed", 4),
            ("segments_held", 5),
            ("held_bytes", 6),
            ("polled_files", 8),
            ("lag_bytes_max", u64::MAX),
            ("connections_total", 10),
            ("bytes_sent_total", u64::MAX),
            ("turns_total", 12),
            ("cut_streams_total", 13),
            ("missed_bytes_total", 14),
            ("rotations_total", 0),
            (
                concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
                1,
            ),
        ] {
            assert_eq!(samples[&*format!("sendtail_{name}")], value, "{name}");
        }
    }

    #[test]
    fn refusals_are_counted_by_reason_and_all_reasons_are_there() {
        let mut report = Report::new(Duration::ZERO);
        for refusal in [
            Refusal::NoHeader { within_seconds: 3 },
            Refusal::NoHeader { within_seconds: 4 },
            Refusal::NoSuchFile,
        ] {
            report.refused(Peer::Unix, refusal, None, None);
        }
        report.denied(Peer::Unix);
        let page = report.metrics(&NOW);
        let refused = samples(&page);
        let refused: Vec<(&str, u64)> = refused
            .into_iter()
            .filter_map(|(name, value)| {
                let reason = name.strip_prefix("sendtail_refused_total{reason=\"")?;
                Some((reason.strip_suffix("\"}").unwrap(), value))
            })
            .collect();
        assert_eq!(refused.len(), REASONS.len() + 1);
        for (reason, count) in refused {
            let expected = match reason {
                "no_header" => 2,
                "no_such_file" | "not_allowed" => 1,
                _ => 0,
            };
            assert_eq!(count, expected, "{reason}");
            let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(reason.bytes().all(is_word), "{reason}");
        }
    }

    #[test]
    fn changes_of_files_are_counted() {
        let mut report = Report::new(Duration::ZERO);
        let path = std::path::PathBuf::from("log");
        report.note(&Note::Replaced { path: path.clone() });
        report.note(&Note::Replaced { path: path.clone() });
        report.note(&Note::Gap { path: path.clone() });
        report.note(&Note::Unverified { path: path.clone() });
        report.note(&Note::Late {
            path: path.clone(),
            bytes: 9,
        });
        report.truncated(&path, 100, 3);
        let page = report.metrics(&NOW);
        let samples = samples(&page);
        for (name, value) in [
            ("rotations", 2),
            ("gaps", 1),
            ("unverified_switches", 1),
            ("late_bytes", 9),
            ("truncations", 1),
        ] {
            assert_eq!(samples[&*format!("sendtail_{name}_total")], value, "{name}");
        }
    }
}
