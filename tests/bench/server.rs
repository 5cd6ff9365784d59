//! Benchmarks of `git latch serve`, on loopback, load and server on the same processors.
//!
//! `cargo bench --bench server`; `ONLY=reads,pairs` runs some of them (the names are in `main`), `SECONDS=600` makes
//! the pairs last that long.
//! Reads are asked by `wrk`, pairs and streams from here; beside the pairs stands Redis (`SET NX PX`, compare-and-delete by
//! script, every write synced), where it is installed.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(
    clippy::cast_precision_loss,
    clippy::format_push_string,
    reason = "figures for people, and text for servers"
)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use support::{LATCH, Repo, bobs, elapsed, elsewhere, feed};
use tempfile::TempDir;

const CONNECTIONS: usize = 64;
const MANY: usize = 100_000;

fn main() {
    let wanted = std::env::var("ONLY").unwrap_or_default();
    let all: [(&str, fn()); 8] = [
        ("start", start),
        ("reads", reads),
        ("pairs", || pairs("no other lock", 0)),
        ("pairs-among", || pairs("100,000 others", MANY)),
        ("redis", redis),
        ("streams", streams),
        ("connections", connections),
        ("lfs", lfs),
    ];
    for (name, run) in all {
        if wanted.is_empty() || wanted.split(',').any(|word| word == name) {
            run();
        }
    }
}

/// A bare repository of the benchmark's own.
struct Bare {
    home: TempDir,
}

impl Bare {
    /// With so many locks of Bob's, spread over a thousand directories.
    fn new(locks: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let bare = Bare { home };
        let path = bare.path();
        let made = Command::new("git")
            .args(["init", "-q", "--bare"])
            .arg(&path)
            .status();
        assert!(made.unwrap().success());
        if locks > 0 {
            bare.fill(locks);
        }
        bare
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("game.git")
    }

    fn fill(&self, count: usize) {
        let now = chrono::Utc::now();
        let seq = now.timestamp_millis();
        let message = format!("lock many\n\nLatch-Seq: {seq}\nLatch-Depth: 0\n");
        let mut input = format!(
            "commit refs/latch/locks\ncommitter Bob <bob@example.com> {} +0000\ndata {}\n{message}\n",
            now.timestamp(),
            message.len()
        );
        for n in 0..count {
            let lock = bobs(&elsewhere(n));
            let place = lock.claim().place().unwrap();
            let place = String::from_utf8(place.as_bytes().to_vec()).unwrap();
            let text = lock.to_toml();
            input.push_str(&format!(
                "M 100644 inline {place}\ndata {}\n{text}\n",
                text.len()
            ));
        }
        let mut import = Command::new("git");
        import
            .arg("--git-dir")
            .arg(self.path())
            .args(["fast-import", "--quiet"]);
        feed(&mut import, &input);
    }

    fn bytes(&self) -> u64 {
        let told = Command::new("du")
            .args(["-sb"])
            .arg(self.path())
            .output()
            .unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        told.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// A server; killed when it is dropped.
struct Server {
    child: Child,
    address: String,
    started: Duration,
}

impl Server {
    fn of(bare: &Bare) -> Self {
        let began = Instant::now();
        let mut child = Command::new(LATCH)
            .args([
                "--as",
                "ada@example.com",
                "-q",
                "serve",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(["--max-locks", "1000000", "--repo"])
            .arg(bare.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().to_owned();
        Server {
            child,
            address,
            started: began.elapsed(),
        }
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}/api/v1/repos/game/-/{rest}", self.address)
    }

    /// What it has in memory, in MB.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1000
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One connection that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    fn ask(&mut self, method: &str, target: &str, body: &str) -> (u16, String) {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut status = 0;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if line.starts_with("HTTP/") {
                status = line[9..12].parse().unwrap();
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            } else if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    fn api(&mut self, method: &str, rest: &str, body: &str) -> (u16, String) {
        self.ask(method, &format!("/api/v1/repos/game/-/{rest}"), body)
    }
}

fn say(what: &str, ours: &str, at_most: &str) {
    println!("{what:<66} {ours:>26}   {at_most}");
}

fn start() {
    let bare = Bare::new(MANY);
    let mut times: Vec<Duration> = (0..5).map(|_| Server::of(&bare).started).collect();
    times.sort_unstable();
    say(
        "start with 100,000 locks",
        &format!("{:.2} s", times[2].as_secs_f64()),
        "< 3 s",
    );
    let server = Server::of(&bare);
    say(
        "memory with 100,000 locks",
        &format!("{} MB", server.memory()),
        "< 250 MB",
    );
}

fn reads() {
    let bare = Bare::new(MANY);
    let server = Server::of(&bare);
    let (_, listed) = server.client().api("GET", "locks?limit=1", "");
    let at = listed.find("\"lease\":\"").unwrap() + 9;
    let lease = &listed[at..at + 32];
    for (what, rest) in [
        (
            "one lock by its lease, among 100,000",
            format!("locks/{lease}"),
        ),
        (
            "one lock by its path",
            "locks?path=Elsewhere/007/part-000007.FCStd".to_owned(),
        ),
        ("a list of 100", "locks?limit=100".to_owned()),
        (
            "a list of 100 in the middle",
            "locks?under=Elsewhere/500".to_owned(),
        ),
    ] {
        let asked = Command::new("wrk")
            .args(["-t1", "-c32", "-d5"])
            .arg(server.url(&rest))
            .output();
        let Ok(asked) = asked else {
            return println!("reads: wrk is not installed");
        };
        let text = String::from_utf8(asked.stdout).unwrap();
        let per_second = text
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"))
            .unwrap();
        say(what, &format!("{} /s", per_second.trim()), "> 20,000");
    }
}

/// Acquires and releases from many connections; gives how many pairs in a second, and the time of 99 % of the requests.
fn pairs_of(server: &Server, seconds: u64) -> (f64, Duration, usize) {
    let failed = AtomicUsize::new(0);
    let (pairs, p99) = at_once(seconds, |worker, end| {
        let mut client = server.client();
        let mut times = Vec::new();
        for n in 0.. {
            if Instant::now() > end {
                break;
            }
            let body = format!("{{\"paths\":[\"Assets/{worker:03}/part-{}\"]}}", n % 50);
            let began = Instant::now();
            let (status, told) = client.api("POST", "locks", &body);
            times.push(began.elapsed());
            let Some(at) = told.find("\"lease\":\"").filter(|_| status == 201) else {
                failed.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let lease = &told[at + 9..at + 41];
            let began = Instant::now();
            let (status, _) = client.api("DELETE", &format!("locks/{lease}"), "");
            times.push(began.elapsed());
            failed.fetch_add(usize::from(status != 200), Ordering::Relaxed);
        }
        times
    });
    (pairs, p99, failed.into_inner())
}

/// Has a worker for each connection ask until the end; gives how many pairs of requests in a second, and the time of 99 %
/// of the requests.
fn at_once(seconds: u64, work: impl Fn(usize, Instant) -> Vec<Duration> + Sync) -> (f64, Duration) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|worker| scope.spawn(move || work(worker, end)))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    times.sort_unstable();
    let pairs = times.len() as f64 / 2.0 / seconds as f64;
    (pairs, times[times.len() * 99 / 100])
}

fn pairs(what: &str, locks: usize) {
    let seconds = seconds();
    let bare = Bare::new(locks);
    let server = Server::of(&bare);
    let before = bare.bytes();
    let (pairs, p99, failed) = pairs_of(&server, seconds);
    let figures = format!("{pairs:.0} /s, p99 {:.0} ms", p99.as_secs_f64() * 1e3);
    say(
        &format!("acquire + release, {what}, {seconds} s, {failed} failed"),
        &figures,
        "> 500, < 100 ms",
    );
    let grown = bare.bytes().saturating_sub(before) / 1_000_000;
    say(
        "  the repository has grown by",
        &format!("{grown} MB"),
        "bounded",
    );
}

/// How long pairs are made.
fn seconds() -> u64 {
    let told = std::env::var("SECONDS").ok();
    told.and_then(|s| s.parse().ok()).unwrap_or(20)
}

/// The same of Redis: the limit of what a server of locks can do.
fn redis() {
    let seconds = seconds().min(20);
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("redis");
    let begun = Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
        ])
        .arg("--dir")
        .arg(home.path())
        .arg("--unixsocket")
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn();
    let Ok(mut child) = begun else {
        return println!("Redis is not installed");
    };
    while !socket.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    let (pairs, p99) = at_once(seconds, |worker, end| redis_pairs(&socket, worker, end));
    let p99 = p99.as_secs_f64() * 1e3;
    say(
        "  Redis, SET NX PX + compare-and-delete, appendfsync always",
        &format!("{pairs:.0} /s, p99 {p99:.0} ms"),
        "",
    );
    drop(child.kill());
    drop(child.wait());
}

fn redis_pairs(socket: &Path, worker: usize, end: Instant) -> Vec<Duration> {
    const DELETE: &str =
        "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) end return 0";
    let mut stream = BufReader::new(std::os::unix::net::UnixStream::connect(socket).unwrap());
    let mut ask = |words: &[&str]| {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let began = Instant::now();
        stream.get_mut().write_all(text.as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line == "+OK\r\n" || line == ":1\r\n", "{line}");
        began.elapsed()
    };
    let mut times = Vec::new();
    for n in 0.. {
        if Instant::now() > end {
            break;
        }
        let (key, token) = (format!("{worker}/{}", n % 50), format!("{worker}-{n}"));
        times.push(ask(&["SET", &key, &token, "NX", "PX", "900000"]));
        times.push(ask(&["EVAL", DELETE, "1", &key, &token]));
    }
    times
}

/// Opens a stream of events; gives it when it is answered.
fn stream(server: &Server) -> BufReader<TcpStream> {
    let mut client = server.client().0;
    let request = "GET /api/v1/repos/game/-/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.get_mut().write_all(request.as_bytes()).unwrap();
    wait_for(&mut client, "retry:");
    client
}

fn wait_for(stream: &mut BufReader<TcpStream>, words: &str) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
    }
}

fn streams() {
    const READERS: usize = 5_000;
    let bare = Bare::new(0);
    let server = Server::of(&bare);
    let all: Vec<BufReader<TcpStream>> = (0..READERS).map(|_| stream(&server)).collect();
    let memory = format!("{} MB", server.memory());
    say("memory with 5,000 streams of events", &memory, "< 300 MB");
    // One thread that looks at all: five thousand would be measured by their own turns on the processors.
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    for (n, stream) in all.iter().enumerate() {
        let n = epoll::EventData::new_u64(u64::try_from(n).unwrap());
        epoll::add(&poll, stream.get_ref(), n, epoll::EventFlags::IN).unwrap();
    }
    let reading = thread::spawn(move || {
        let (mut open, mut ready) = (READERS, Vec::with_capacity(1024));
        while open > 0 {
            epoll::wait(&poll, spare_capacity(&mut ready), None).unwrap();
            for event in ready.drain(..) {
                let stream = &all[usize::try_from(event.data.u64()).unwrap()];
                let mut bytes = [0; 4096];
                let read = stream.get_ref().read(&mut bytes).unwrap();
                let text = String::from_utf8_lossy(&bytes[..read]);
                assert!(text.contains("event: locked"), "{text}");
                epoll::delete(&poll, stream.get_ref()).unwrap();
                open -= 1;
            }
        }
        Instant::now()
    });
    let mut client = server.client();
    let began = Instant::now();
    let (status, _) = client.api("POST", "locks", "{\"paths\":[\"x\"]}");
    assert_eq!(status, 201);
    let answered = began.elapsed();
    let last = reading.join().unwrap().duration_since(began);
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let figure = format!("{:.0} ms ({:.0})", millis(last), millis(answered));
    say(
        "from the request until the last of 5,000 has read (until its answer)",
        &figure,
        "< 200 ms",
    );
}

fn connections() {
    const IDLE: usize = 10_000;
    let bare = Bare::new(0);
    let server = Server::of(&bare);
    let idle: Vec<TcpStream> = (0..IDLE)
        .filter_map(|_| TcpStream::connect(&server.address).ok())
        .collect();
    let (status, _) = server.client().api("GET", "locks", "");
    say(
        &format!(
            "{} idle connections: one more is answered {status}",
            idle.len()
        ),
        &format!("{} MB", server.memory()),
        "",
    );
}

fn lfs() {
    let bare = Bare::new(10_000);
    let server = Server::of(&bare);
    let mut client = server.client();
    let mut times = Vec::new();
    let mut cursor = String::new();
    loop {
        let began = Instant::now();
        let target = "/game.git/info/lfs/locks/verify";
        let (status, told) = client.ask("POST", target, &format!("{{\"cursor\":\"{cursor}\"}}"));
        times.push(began.elapsed());
        assert_eq!(status, 200, "{told}");
        let page: serde_json::Value = serde_json::from_str(&told).unwrap();
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    let pages = times.len();
    let slowest = times.iter().max().unwrap().as_secs_f64() * 1e3;
    say(
        &format!("verify of 10,000 locks, {pages} pages: the slowest"),
        &format!("{slowest:.1} ms"),
        "< 100 ms",
    );
    lock_by_client(&server, &bare);
}

/// `git lfs lock` of 100 files by the real client, and the same requests with nothing but their network.
fn lock_by_client(server: &Server, bare: &Bare) {
    let clone = Repo::clone_of(bare.path().to_str().unwrap(), false);
    let url = format!("http://{}/game.git/info/lfs", server.address);
    clone.git(&["config", "lfs.url", &url]);
    let files: Vec<String> = (0..100).map(|n| format!("art/{n}.psd")).collect();
    let mut command = clone.command("git");
    command.args(["lfs", "lock"]).args(&files);
    let mut locked = false;
    let whole = elapsed(|| locked = command.status().is_ok_and(|status| status.success()));
    if !locked {
        return println!("git lfs is not installed, or cannot lock several files at once");
    }
    let mut client = server.client();
    let bare_requests = elapsed(|| {
        for n in 0..100 {
            let body = format!("{{\"path\":\"other/{n}.psd\"}}");
            let (status, _) = client.ask("POST", "/game.git/info/lfs/locks", &body);
            assert_eq!(status, 201);
        }
    });
    let figures = format!(
        "{:.0} ms ({:.0} ms of it)",
        whole.as_secs_f64() * 1e3,
        bare_requests.as_secs_f64() * 1e3
    );
    say(
        "git lfs lock of 100 files (the same requests by themselves)",
        &figures,
        "",
    );
}
