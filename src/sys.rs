//! The system calls that no library of ours offers: the only `unsafe` of the program.
//!
//! The calls are made on borrowed descriptors with memory that outlives them, and every answer is
//! checked.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Takes a read lease on a file opened for reading only (fcntl(2), F_SETLEASE). Gives it back at
/// once with `drop_lease`: who opens the file for writing meanwhile waits for that.
///
/// EAGAIN: somebody has it open for writing. EACCES: it is not ours and CAP_LEASE is missing.
/// EINVAL and others: the file system has no leases.
pub fn take_read_lease(file: BorrowedFd) -> io::Result<()> {
    set_lease(file, libc::F_RDLCK)
}

/// Gives a lease back.
pub fn drop_lease(file: BorrowedFd) -> io::Result<()> {
    set_lease(file, libc::F_UNLCK)
}

/// Reads what the page cache has, without waiting for the disk (preadv2(2), RWF_NOWAIT).
///
/// EAGAIN: nothing of it is cached. EOPNOTSUPP: the file system cannot tell.
pub fn read_cached(file: BorrowedFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let slice = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: `slice` is one buffer that is ours alone until the call returns, with its true
    // length; the descriptor is borrowed, so it is open.
    let read = unsafe {
        libc::preadv2(
            file.as_raw_fd(),
            &slice,
            1,
            offset as libc::off_t,
            libc::RWF_NOWAIT,
        )
    };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Takes over a descriptor that this process was started with. To be called once for each of them,
/// before the process opens any of its own: then nobody else in it owns the number.
pub fn adopt(descriptor: RawFd) -> OwnedFd {
    // SAFETY: see above; `main` asks for them before all else. That the number is open was found
    // out by whoever has listed it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

fn set_lease(file: BorrowedFd, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: F_SETLEASE takes an integer and touches no memory of ours; the descriptor is
    // borrowed, so it is open.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
