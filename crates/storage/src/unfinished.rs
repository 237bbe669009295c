//! A file that was begun and never became a database: the disk was full or the power failed before the first commit. The database
//! writes its signature last of all, so what has none has never held anything; it is begun anew. Only what is no larger than a
//! new file is: a large one without its signature is damage, and left for the repair.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use crate::{Disk, StoreError};

/// Bytes that a database begins with.
const SIGNATURE_BYTES: usize = 9;
/// Larger than the file of a new database.
const NEW_BYTES_MAX: u64 = 128 << 10;

const fn may_be(len: u64) -> bool {
    len > 0 && len <= NEW_BYTES_MAX
}

fn medium(error: io::Error) -> StoreError {
    redb::Error::from(redb::StorageError::from(error)).into()
}

/// Empties a file that never became a database.
pub(crate) fn clear_file(path: &Path) -> Result<(), StoreError> {
    let Ok(mut file) = File::options().read(true).write(true).open(path) else { return Ok(()) };
    // Somebody may be making it this very moment.
    if file.try_lock().is_err() || !may_be(file.metadata().map_err(medium)?.len()) {
        return Ok(());
    }
    let mut signature = Vec::new();
    file.by_ref().take(SIGNATURE_BYTES as u64).read_to_end(&mut signature).map_err(medium)?;
    if signature.iter().all(|byte| *byte == 0) {
        file.set_len(0).and_then(|()| file.sync_all()).map_err(medium)?;
    }
    Ok(())
}

/// [`clear_file`] on another disk.
pub(crate) fn clear_disk(disk: &impl Disk) -> Result<(), StoreError> {
    let len = disk.len().map_err(medium)?;
    if !may_be(len) {
        return Ok(());
    }
    let mut signature = [0; SIGNATURE_BYTES];
    let count = usize::try_from(len).unwrap_or(SIGNATURE_BYTES).min(SIGNATURE_BYTES);
    let found = signature.get_mut(..count).unwrap_or_default();
    disk.read(0, found).map_err(medium)?;
    if found.iter().all(|byte| *byte == 0) {
        disk.set_len(0).and_then(|()| disk.sync_data()).map_err(medium)?;
    }
    Ok(())
}
