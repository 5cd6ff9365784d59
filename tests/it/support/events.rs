//! Server-sent events as they come.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver};

use serde_json::Value;

use super::DEADLINE;

/// A stream of events that is read.
pub(crate) struct Events {
    stream: TcpStream,
    /// The lines; the first is that of the status.
    lines: Receiver<String>,
    kept: VecDeque<String>,
}

/// One event as it was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The id to come back with, if this was the last of a change.
    pub(crate) id: Option<u64>,
    pub(crate) event: String,
    pub(crate) data: Value,
}

impl Events {
    #[track_caller]
    pub(crate) fn read(stream: TcpStream) -> Self {
        let (sender, lines) = mpsc::channel();
        let reader = BufReader::new(stream.try_clone().unwrap());
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut events = Events {
            stream,
            lines,
            kept: VecDeque::new(),
        };
        let status = events.line();
        assert_eq!(status.as_deref(), Some("HTTP/1.1 200 OK"));
        // With its first words the server is listening for what happens.
        while !events
            .line()
            .expect("the stream begins")
            .starts_with("retry:")
        {}
        events
    }

    fn line(&mut self) -> Option<String> {
        self.kept
            .pop_front()
            .or_else(|| match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => Some(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => None,
                Err(error) => panic!("waiting for an event: {error}"),
            })
    }

    /// The id that comes with the first words.
    pub(crate) fn first_id(&mut self) -> Option<u64> {
        let line = self.line()?;
        line.strip_prefix("id: ")?.parse().ok()
    }

    /// The next event; `None` where the stream ends.
    pub(crate) fn next(&mut self) -> Option<Sent> {
        let (mut id, mut event) = (None, String::new());
        loop {
            // Between them are the sizes of chunks.
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", value)) => id = value.parse().ok(),
                Some(("event", value)) => value.clone_into(&mut event),
                Some(("data", value)) => {
                    let data = serde_json::from_str(value).unwrap();
                    return Some(Sent { id, event, data });
                }
                _ if line.is_empty() => (id, event) = (None, String::new()),
                _ => {}
            }
        }
    }

    /// Asserts that the next events are these, word and path.
    #[track_caller]
    pub(crate) fn tells(&mut self, expected: &[(&str, &str)]) -> Sent {
        let mut last = None;
        for (event, path) in expected {
            let sent = self.next().expect("the stream goes on");
            let told = (
                sent.event.as_str(),
                sent.data["path"].as_str().unwrap_or_default(),
            );
            assert_eq!(told, (*event, *path), "{sent:?}");
            last = Some(sent);
        }
        last.unwrap()
    }

    /// Hangs up.
    pub(crate) fn close(self) {
        self.stream.shutdown(Shutdown::Both).unwrap();
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The thread that reads ends with it.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}
