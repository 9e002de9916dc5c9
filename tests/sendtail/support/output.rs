//! What a program says, collected while it runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What a pipe has brought so far, in whole lines.
pub struct Output {
    text: Arc<Mutex<Text>>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    /// How many there were before them.
    forgotten: usize,
}

impl Output {
    pub fn of(pipe: impl Read + Send + 'static) -> Output {
        let text = Arc::new(Mutex::new(Text::default()));
        let collected = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe
                .read_until(b'\n', &mut line)
                .is_ok_and(|count| count > 0)
            {
                lock(&collected).bytes.append(&mut line);
            }
        });
        Output { text, reader }
    }

    /// A place to read on from later.
    pub fn end(&self) -> usize {
        let text = lock(&self.text);
        text.forgotten + text.bytes.len()
    }

    /// What has come since that place, as far as it is not forgotten.
    pub fn since(&self, place: usize) -> String {
        let text = lock(&self.text);
        let from = place.saturating_sub(text.forgotten).min(text.bytes.len());
        String::from_utf8_lossy(&text.bytes[from..]).into_owned()
    }

    /// Keeps only the end, so many bytes of it.
    pub fn forget(&self, keep_bytes: usize) {
        let mut text = lock(&self.text);
        let surplus = text.bytes.len().saturating_sub(keep_bytes);
        text.bytes.drain(..surplus);
        text.forgotten += surplus;
    }

    pub fn is_complete(&self) -> bool {
        self.reader.is_finished()
    }
}

/// A failed test poisons its locks, and its `Drop` still wants the log.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
