//! What is said of files: rotations, truncations, losses.

use super::{Kind, Report};
use crate::error::Escaped;
use crate::finish::Rule;
use crate::news::Note;

use log::Level;

use std::path::Path;

impl Report {
    /// A file that was truncated at `end` bytes, and how many clients had not got them.
    pub fn truncated(&mut self, path: &Path, end: u64, clients: usize) {
        self.truncations += 1;
        let path = Escaped(path);
        match clients {
            0 => self.say(
                Level::Info,
                Kind::TruncatedSent,
                format_args!("{path} was truncated at {end} bytes, which all of its clients have"),
            ),
            _ => self.say(
                Level::Warn,
                Kind::Truncated,
                format_args!(
                    "{path} was truncated at {end} bytes; {clients} clients were behind and are \
                     closed"
                ),
            ),
        }
    }

    /// What looks at files have brought.
    pub fn note(&mut self, note: &Note) {
        match note {
            Note::Replaced { path } => {
                self.rotations += 1;
                self.say(
                    Level::Info,
                    Kind::Replaced,
                    format_args!("another file is now {}", Escaped(path)),
                );
            }
            Note::Unverified { path } => {
                self.unverified += 1;
                self.say(
                    Level::Warn,
                    Kind::Unverified,
                    format_args!(
                        "{}: continuity not verified: its file changed and no event said so",
                        Escaped(path)
                    ),
                );
            }
            Note::Finished {
                path,
                end,
                rule,
                clients,
            } => {
                let rule = self.rule_words(*rule);
                self.say(
                    Level::Info,
                    Kind::Finished,
                    format_args!(
                        "{}: the old file is finished at {end} bytes ({rule}); {clients} clients \
                         go on with the next",
                        Escaped(path)
                    ),
                );
            }
            Note::Gap { .. } | Note::Late { .. } => self.note_loss(note),
            Note::CannotOpen { path, why } => self.say(
                Level::Warn,
                Kind::CannotOpen,
                format_args!("cannot open {}: {why}; waiting for it", Escaped(path)),
            ),
            Note::CannotWatch { path, why } => self.say(
                Level::Warn,
                Kind::CannotWatch,
                format_args!(
                    "cannot watch {}: {why}; looking at it four times a second",
                    Escaped(path)
                ),
            ),
        }
    }

    fn note_loss(&mut self, note: &Note) {
        match note {
            Note::Gap { path } => {
                self.gaps += 1;
                self.say(
                    Level::Warn,
                    Kind::Gap,
                    format_args!(
                        "{}: a file that bore this name was deleted before it could be opened",
                        Escaped(path)
                    ),
                );
            }
            Note::Late { path, bytes } => {
                self.late_bytes += bytes;
                self.say(
                    Level::Warn,
                    Kind::Late,
                    format_args!(
                        "{}: {bytes} bytes came to its old file after it was left",
                        Escaped(path)
                    ),
                );
            }
            _ => {}
        }
    }

    fn rule_words(&self, rule: Rule) -> String {
        let words = match rule {
            Rule::NoWriter => "no writer has it open",
            Rule::WriterClosed => "its writer closed it",
            Rule::Silent => return format!("silent for {} s", self.drain_grace.as_secs()),
            Rule::BothGrow => "both grow for 60 s",
            Rule::Unreachable => "deleted, and no writer has it open",
            Rule::Truncated => "truncated after it was renamed",
            Rule::CameBack => "it came back",
        };
        words.into()
    }
}
