//! `git latch serve`, and requests to it as somebody: over plain sockets, so that a test can send anything.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::events::Events;
use super::stream::Stream;
use super::{DEADLINE, LATCH, Run, Sandbox, clones};

/// Who there is: name and role. The id of `ada` is `ada@example.com`, the password `secret-ada`.
const USERS: [(&str, &str); 4] = [
    ("ada", "editor"),
    ("bob", "editor"),
    ("eve", "viewer"),
    ("max", "admin"),
];

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    pub(crate) process: Stream,
    /// Address and port.
    pub(crate) address: String,
}

/// Writes the file of users, by the command that does that.
pub(crate) fn users(sandbox: &Sandbox) {
    for (name, role) in USERS {
        user(
            sandbox,
            &format!("add {name} --role {role} --id {name}@example.com"),
            name,
        )
        .ended(0);
    }
}

/// Runs `git latch user` with these words, and the password of a name on standard input.
pub(crate) fn user(sandbox: &Sandbox, words: &str, name: &str) -> Run {
    let mut command = sandbox.command(LATCH);
    command.arg("user").args(words.split(' '));
    command
        .arg("--users")
        .arg(sandbox.path().join("users.toml"));
    Run::fed(&mut command, format!("secret-{name}").as_bytes())
}

/// The command that serves with these users and arguments.
pub(crate) fn serving(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(LATCH);
    command
        .current_dir(sandbox.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--users", "users.toml"])
        .args(arguments);
    command
}

/// Serves a bare repository, `remote`, with one commit.
pub(crate) fn served(sandbox: &Sandbox) -> Server {
    served_with(sandbox, |_| {})
}

/// The same, by a command that is completed by the test.
pub(crate) fn served_with(sandbox: &Sandbox, complete: impl FnOnce(&mut Command)) -> Server {
    clones::remote(sandbox);
    users(sandbox);
    again(sandbox, complete)
}

/// Serves what is there.
pub(crate) fn again(sandbox: &Sandbox, complete: impl FnOnce(&mut Command)) -> Server {
    let mut command = serving(sandbox, &["--repo", "remote.git"]);
    complete(&mut command);
    Server::start(&mut command)
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = Stream::start(command);
        let line = process.next();
        let told = line.strip_prefix("listening on ");
        let address = told.and_then(|url| Some(url.split_once("://")?.1));
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        Server { process, address }
    }

    /// Asks as a user, about the repository `remote`.
    pub(crate) fn by(&self, user: &str) -> Client {
        Client {
            address: self.address.clone(),
            authorization: Some(basic(user, &format!("secret-{user}"))),
            repo: "remote".into(),
        }
    }

    /// Asks as nobody.
    pub(crate) fn anybody(&self) -> Client {
        Client {
            authorization: None,
            ..self.by("")
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.process.ended();
    }

    /// Ends it in good order; gives its exit code.
    pub(crate) fn end(mut self) -> i32 {
        self.process.signal(Signal::TERM);
        self.process.ended()
    }
}

/// What `Authorization` says of a name and a password.
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{name}:{password}").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: u32, n: u32| char::from(DIGITS[(group >> (18 - 6 * n) & 63) as usize]);
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.extend((0..=u32::try_from(three.len()).unwrap()).map(|n| digit(group, n)));
        text.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    text
}

/// Somebody who asks.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: String,
    pub(crate) authorization: Option<String>,
    pub(crate) repo: String,
}

impl Client {
    /// The same, about another repository.
    pub(crate) fn of(&self, repo: &str) -> Self {
        Client {
            repo: repo.to_owned(),
            ..self.clone()
        }
    }

    /// The same, who shows something else.
    pub(crate) fn showing(&self, authorization: &str) -> Self {
        Client {
            authorization: Some(authorization.to_owned()),
            ..self.clone()
        }
    }

    #[track_caller]
    pub(crate) fn get(&self, what: &str) -> Answer {
        self.ask("GET", &self.api(what), &[], b"")
    }

    #[track_caller]
    pub(crate) fn post(&self, what: &str, body: &Value) -> Answer {
        self.ask("POST", &self.api(what), &[], body.to_string().as_bytes())
    }

    #[track_caller]
    pub(crate) fn delete(&self, what: &str) -> Answer {
        self.ask("DELETE", &self.api(what), &[], b"")
    }

    /// Locks paths.
    #[track_caller]
    pub(crate) fn lock(&self, paths: &[&str]) -> Answer {
        self.post("locks", &json!({"paths": paths}))
    }

    /// Locks a path, which must be free; gives the lease.
    #[track_caller]
    pub(crate) fn takes(&self, path: &str) -> String {
        let taken = self.lock(&[path]).is(201);
        taken["locked"][0]["lease"].as_str().unwrap().to_owned()
    }

    /// Begins a session; gives its id.
    #[track_caller]
    pub(crate) fn session(&self) -> String {
        let begun = self.post("sessions", &json!({"label": "editor"})).is(201);
        begun["session"].as_str().unwrap().to_owned()
    }

    /// The paths that are listed.
    #[track_caller]
    pub(crate) fn listed(&self, query: &str) -> Vec<String> {
        paths(&self.get(&format!("locks?{query}")).is(200)["locks"])
    }

    /// Asks by the Git LFS locking API.
    #[track_caller]
    pub(crate) fn lfs(&self, method: &str, what: &str, body: &Value) -> Answer {
        let target = format!("/{}.git/info/lfs/{what}", self.repo);
        let lfs = "application/vnd.git-lfs+json";
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.ask(method, &target, &[("content-type", lfs)], body.as_bytes())
    }

    fn api(&self, what: &str) -> String {
        format!("/api/v1/repos/{}/-/{what}", self.repo)
    }

    /// Asks anything; `headers` replace ours.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_ask(method, target, headers, body).unwrap()
    }

    /// The same; an error where the server goes away.
    pub(crate) fn try_ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut stream = self.send(method, target, headers, body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let cut = || std::io::Error::other(format!("cut short: {text}"));
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut)?;
        let answer = Answer {
            head: head.to_owned(),
            body: body.to_owned(),
        };
        let whole = answer.header("content-length").parse().unwrap_or(0);
        if method != "HEAD" && body.len() < whole {
            return Err(cut());
        }
        Ok(answer)
    }

    /// A lock, or an error where the server goes away.
    pub(crate) fn try_lock(&self, path: &str) -> std::io::Result<Answer> {
        let body = json!({"paths": [path]}).to_string();
        self.try_ask("POST", &self.api("locks"), &[], body.as_bytes())
    }

    fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<TcpStream> {
        let length = body.len().to_string();
        let authorization = self.authorization.as_deref().unwrap_or_default();
        let ours = [
            ("host", self.address.as_str()),
            ("connection", "close"),
            ("content-length", &length),
            ("authorization", authorization),
            (
                "content-type",
                if method == "POST" {
                    "application/json"
                } else {
                    ""
                },
            ),
        ];
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        let ours = ours
            .iter()
            .filter(|(name, _)| headers.iter().all(|(n, _)| n != name));
        for (name, value) in ours.chain(headers).filter(|(_, value)| !value.is_empty()) {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(&[text.as_bytes(), b"\r\n", body].concat())?;
        Ok(stream)
    }

    /// Follows what happens, from when it is sure to be heard.
    #[track_caller]
    pub(crate) fn events(&self, query: &str, last: Option<u64>) -> Events {
        let last = last.map(|last| last.to_string()).unwrap_or_default();
        let headers = [
            ("last-event-id", last.as_str()),
            ("accept", "text/event-stream"),
        ];
        let target = self.api(&format!("events?{query}"));
        let stream = self.send("GET", &target, &headers, b"").unwrap();
        Events::read(stream)
    }

    /// Asks for events and does not read them.
    pub(crate) fn deaf(&self) -> TcpStream {
        self.send("GET", &self.api("events"), &[], b"").unwrap()
    }
}

/// The paths of locks, or of events.
pub(crate) fn paths(all: &Value) -> Vec<String> {
    let all = all.as_array().unwrap_or_else(|| panic!("{all}"));
    all.iter()
        .map(|one| one["path"].as_str().unwrap().to_owned())
        .collect()
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    /// A header; `""` where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value)
    }

    /// Asserts the status; gives the body, if it is JSON.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status(), status, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Asserts that this is a problem of this status and code; gives it.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["status"], status);
        problem
    }
}
