//! The files that are served: text in lines of 100 bytes, so that lines can be counted in bytes.

use crate::failure::{Failure, cannot};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub const LINE_BYTES: u64 = 100;

/// A file of whole lines that can grow.
pub struct Sample {
    pub path: PathBuf,
    pub bytes: u64,
    file: File,
}

impl Sample {
    /// Writes as many lines as it takes for at least `bytes`. They are in the page cache then, and
    /// on the disk: nothing is left to be written back while something is measured.
    pub fn create(path: PathBuf, bytes: u64) -> Result<Sample, Failure> {
        let failed = |error: io::Error| cannot(format!("write {}", path.display()))(error);
        let file = File::create(&path).map_err(failed)?;
        let lines = bytes.div_ceil(LINE_BYTES);
        let mut writer = BufWriter::with_capacity(1 << 20, &file);
        for number in 0..lines {
            writer.write_all(&line(number)).map_err(failed)?;
        }
        writer.flush().map_err(failed)?;
        drop(writer);
        file.sync_all().map_err(failed)?;
        Ok(Sample {
            path,
            bytes: lines * LINE_BYTES,
            file,
        })
    }

    /// Appends one line with one write.
    pub fn append(&mut self) -> Result<(), Failure> {
        let line = line(self.bytes / LINE_BYTES);
        self.file
            .write_all(&line)
            .map_err(cannot(format!("append to {}", self.path.display())))?;
        self.bytes += LINE_BYTES;
        Ok(())
    }

    /// Throws it out of the page cache. Pages that are not on the disk yet would stay.
    pub fn cool(&self) -> Result<(), Failure> {
        let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        self.file
            .sync_all()
            .and_then(|()| Ok(posix_fadvise(&self.file, 0, 0, advice)?))
            .map_err(cannot(format!("uncache {}", self.path.display())))
    }
}

/// Reads a file through once, so that no run meets a cold page.
pub fn warm(path: &Path) -> Result<(), Failure> {
    File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut io::sink()))
        .map_err(cannot(format!("read {}", path.display())))?;
    Ok(())
}

/// The number and letters, as a log might have it.
fn line(number: u64) -> [u8; LINE_BYTES as usize] {
    let mut line = [b' '; LINE_BYTES as usize];
    let mut rest = number;
    for digit in line[..12].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    for (at, letter) in line[13..].iter_mut().enumerate() {
        *letter = b'a' + ((number + at as u64) % 26) as u8;
    }
    line[LINE_BYTES as usize - 1] = b'\n';
    line
}
