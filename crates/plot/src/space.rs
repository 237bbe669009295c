//! Space on a disk: how much is left, taking it before it is needed, giving back the parts of a file that are not
//! needed any more.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use mass_proof_of_space::PlotSize;

use crate::error::PlotError;

/// Bytes that a plot file is expected to take at the most. Its nominal bytes are exceeded by less than 1 in 100.
pub(crate) const fn space_needed(size: PlotSize) -> u64 {
    size.nominal_bytes() / 32 * 33 + (1 << 16)
}

/// Refuses if fewer than these bytes are left.
pub(crate) fn check(dir: &Path, needed: u64) -> Result<(), PlotError> {
    let free = free_bytes(dir)?;
    if free < needed { Err(PlotError::NoSpace { dir: dir.to_owned(), needed, free }) } else { Ok(()) }
}

/// Bytes that may still be written to the file system of a directory.
///
/// # Errors
/// [`PlotError::Io`].
pub fn free_bytes(dir: &Path) -> Result<u64, PlotError> {
    let volume = rustix::fs::statvfs(dir).map_err(|error| PlotError::io(dir)(error.into()))?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// Takes the space of the bytes from `offset` on, so that writing them cannot find the disk full; does nothing on
/// file systems that do not know how.
pub(crate) fn reserve(file: &File, path: &Path, offset: u64, bytes: u64) -> Result<(), PlotError> {
    match allocate(file, offset, bytes) {
        Ok(()) => Ok(()),
        Err(error) if is_unsupported(&error) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            let dir = path.parent().map_or_else(PathBuf::new, Path::to_owned);
            let free = free_bytes(&dir)?;
            Err(PlotError::NoSpace { dir, needed: bytes, free })
        }
        Err(error) => Err(PlotError::io(path)(error)),
    }
}

/// Gives back the space of the bytes from `from` to before `to`, which are zero from then on; does nothing where
/// the system does not know how.
pub(crate) fn release(file: &File, path: &Path, from: u64, to: u64) -> Result<(), PlotError> {
    match punch(file, from, to) {
        Err(error) if !is_unsupported(&error) => Err(PlotError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Makes what was written durable, and lets the system forget it where it can, so that it is the disk that is read
/// when it is checked.
pub(crate) fn settle(file: &File, path: &Path) -> Result<(), PlotError> {
    file.sync_all().map_err(PlotError::io(path))?;
    #[cfg(target_os = "linux")]
    // Only advice: whatever is not forgotten is read from memory.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(())
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::empty(), offset, bytes)?)
}

#[cfg(target_os = "linux")]
fn punch(file: &File, from: u64, to: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if from >= to {
        return Ok(());
    }
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}
