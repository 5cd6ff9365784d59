//! A program that goes on, and its lines as they come.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::DEADLINE;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Stdout,
    Stderr,
}

/// A running program; killed when it is dropped.
pub(crate) struct Stream {
    child: Child,
    lines: Receiver<(From, String)>,
    stdout: VecDeque<String>,
    stderr: VecDeque<String>,
    /// Everything, for the message of a test that fails.
    all: String,
}

impl Stream {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        read(From::Stdout, child.stdout.take().unwrap(), sender.clone());
        read(From::Stderr, child.stderr.take().unwrap(), sender);
        Stream {
            child,
            lines,
            stdout: VecDeque::new(),
            stderr: VecDeque::new(),
            all: String::new(),
        }
    }

    /// The next line on stdout.
    #[track_caller]
    pub(crate) fn next(&mut self) -> String {
        loop {
            if let Some(line) = self.stdout.pop_front() {
                return line;
            }
            self.receive("a line on stdout");
        }
    }

    /// The next line on stdout, as JSON.
    #[track_caller]
    pub(crate) fn json(&mut self) -> Value {
        let line = self.next();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// The next event: word and path.
    #[track_caller]
    pub(crate) fn event(&mut self) -> (String, String) {
        let event = self.json();
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        (text("event"), text("path"))
    }

    /// Asserts that the next events are these, in this order, and that nothing else comes in between.
    #[track_caller]
    pub(crate) fn tells(&mut self, expected: &[(&str, &str)]) {
        for (event, path) in expected {
            let told = self.event();
            assert_eq!(
                (told.0.as_str(), told.1.as_str()),
                (*event, *path),
                "{}",
                self.all
            );
        }
    }

    /// Waits for an event, whatever comes before.
    #[track_caller]
    pub(crate) fn tells_in_the_end(&mut self, event: &str, path: &str) -> Value {
        loop {
            let told = self.json();
            if told["event"] == event && told["path"].as_str().unwrap_or_default() == path {
                return told;
            }
        }
    }

    /// Waits for a line on stderr with these words.
    #[track_caller]
    pub(crate) fn says(&mut self, words: &str) -> String {
        loop {
            while let Some(line) = self.stderr.pop_front() {
                if line.contains(words) {
                    return line;
                }
            }
            self.receive(words);
        }
    }

    /// The same; `None` where the program ends without saying so.
    pub(crate) fn says_or_ends(&mut self, words: &str) -> Option<String> {
        loop {
            while let Some(line) = self.stderr.pop_front() {
                if line.contains(words) {
                    return Some(line);
                }
            }
            match self.lines.recv_timeout(DEADLINE) {
                Ok((from, line)) => self.keep(from, line),
                Err(_) => return None,
            }
        }
    }

    fn keep(&mut self, from: From, line: String) {
        let _ = writeln!(self.all, "{from:?}: {line}");
        match from {
            From::Stdout => self.stdout.push_back(line),
            From::Stderr => self.stderr.push_back(line),
        }
    }

    #[track_caller]
    fn receive(&mut self, what: &str) {
        match self.lines.recv_timeout(DEADLINE) {
            Ok((from, line)) => self.keep(from, line),
            Err(error) => panic!("waiting for {what}: {error}\n{}", self.all),
        }
    }

    /// Whether it has said something on stdout that was not asked for yet.
    pub(crate) fn has_line(&mut self) -> bool {
        while let Ok((from, line)) = self.lines.try_recv() {
            self.keep(from, line);
        }
        !self.stdout.is_empty()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end; gives its exit code, 128 + n for signal n.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(Instant::now() < end, "it does not end\n{}", self.all);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(from: From, pipe: impl Read + Send + 'static, to: Sender<(From, String)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if to.send((from, line)).is_err() {
                return;
            }
        }
    });
}
