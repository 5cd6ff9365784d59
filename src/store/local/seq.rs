//! The number of the last change, in a file of its own.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};

use super::LocalStore;
use crate::os::files;
use crate::rules::error::{Error, Result};
use crate::rules::view::View;

/// By how many milliseconds numbers may be ahead of the clock without being synced: many changes at once are.
const AHEAD: u64 = 1000;

impl LocalStore {
    /// The number of the last change; 0 where there is none, or none that can be read: then time goes on from there.
    pub(super) fn seq(&self) -> Result<u64> {
        let path = self.directory.seq();
        let mut text = String::new();
        match File::open(&path).and_then(|f| f.take(32).read_to_string(&mut text)) {
            Ok(_) => Ok(text.trim().parse().unwrap_or_default()),
            Err(e) if files::is_absent(&e) || e.kind() == std::io::ErrorKind::InvalidData => Ok(0),
            Err(e) => Err(Error::io("read", path)(e)),
        }
    }

    /// Writes the number of a change, in place: 13 digits in one write are never seen half.
    ///
    /// Lost with the power, the clock gives a larger one; only where numbers are ahead of the clock, it would not.
    pub(super) fn write_seq(&self, view: &View) -> Result<()> {
        let seq = view.next_seq();
        let path = self.directory.seq();
        let is_new = !path.exists();
        let clock = u64::try_from(view.now.timestamp_millis()).unwrap_or_default();
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            file.rewind()?;
            file.write_all(format!("{seq}\n").as_bytes())?;
            if seq > clock.saturating_add(AHEAD) {
                file.sync_data()?;
            }
            Ok(())
        };
        write().map_err(Error::io("write", &path))?;
        if is_new {
            self.sharing
                .adjust_file(&path)
                .map_err(Error::io("set the mode of", &path))?;
        }
        Ok(())
    }
}
