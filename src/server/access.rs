//! The access log: one line of JSON for each request, written by a thread of its own, so that nobody waits for a disk.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde_json::Value;

use crate::error::{Error, Result};

/// How many lines may wait; more are dropped, and counted.
const WAITING: usize = 8_192;

/// Where lines are sent.
#[derive(Clone, Debug)]
pub(super) struct AccessLog(SyncSender<Value>);

impl AccessLog {
    /// To a file, at its end; `-` is standard error.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut out: Box<dyn std::io::Write + Send> = if path == Path::new("-") {
            Box::new(std::io::stderr())
        } else {
            let file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            Box::new(file.map_err(Error::io("open", path))?)
        };
        let (sender, lines) = sync_channel(WAITING);
        thread::spawn(move || write(&lines, &mut *out));
        Ok(AccessLog(sender))
    }

    pub(super) fn say(&self, line: Value) {
        // A log that cannot keep up loses lines, not requests.
        let _ = self.0.try_send(line);
    }
}

fn write(lines: &Receiver<Value>, out: &mut dyn std::io::Write) {
    while let Ok(line) = lines.recv() {
        let mut text = Vec::new();
        for line in std::iter::once(line).chain(lines.try_iter()).take(1_000) {
            text.extend_from_slice(line.to_string().as_bytes());
            text.push(b'\n');
        }
        if out.write_all(&text).and_then(|()| out.flush()).is_err() {
            // A full disk must not end the server; nor must it be told for each line.
            thread::sleep(std::time::Duration::from_secs(1));
        }
    }
}
