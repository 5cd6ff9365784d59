//! Repositories on a loopback port, over git's own protocol, on a wire that a test can cut, delay or stop.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Sandbox;

/// What becomes of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is cut after so many bytes from the server.
    Cut(usize),
    /// The client's end is cut so long after it began; the server's end goes on.
    CutAfter(Duration),
    /// Every piece from the server comes so much later.
    Slow(Duration),
    /// The client's end is cut once a file exists; the server's end goes on.
    CutWhen(PathBuf),
    /// Nothing ever comes back.
    Silent,
}

/// Chooses what becomes of a connection: its number, and whether it is a push.
type Choose = dyn FnMut(usize, bool) -> Option<Fault> + Send;

/// The repositories of a sandbox, served.
pub(crate) struct Wire {
    address: String,
    pushes: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl Wire {
    /// Serves until the program ends. `choose` says what becomes of each connection.
    pub(crate) fn serve(
        sandbox: &Sandbox,
        choose: impl FnMut(usize, bool) -> Option<Fault> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (pushes, all) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (root, config) = (sandbox.path(), sandbox.path().join("gitconfig"));
        let counts = (pushes.clone(), all.clone());
        let choose: Arc<Mutex<Choose>> = Arc::new(Mutex::new(choose));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, config) = (root.clone(), config.clone());
                let (counts, choose) = (counts.clone(), choose.clone());
                std::thread::spawn(move || {
                    // A client that goes away, or a test that is over, ends the exchange.
                    let _ = connection(stream, &root, &config, &counts, &choose);
                });
            }
        });
        Wire {
            address,
            pushes,
            all,
        }
    }

    /// Where a repository of the sandbox is.
    pub(crate) fn url(&self, repository: &str) -> String {
        format!("git://{}/{repository}", self.address)
    }

    /// How many pushes have begun.
    pub(crate) fn pushes(&self) -> usize {
        self.pushes.load(Ordering::SeqCst)
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.all.load(Ordering::SeqCst)
    }
}

fn connection(
    mut client: TcpStream,
    root: &Path,
    config: &Path,
    (pushes, all): &(Arc<AtomicUsize>, Arc<AtomicUsize>),
    choose: &Mutex<Choose>,
) -> std::io::Result<()> {
    let number = all.fetch_add(1, Ordering::SeqCst);
    let request = packet(&mut client)?;
    let is_push = request.windows(16).any(|part| part == b"git-receive-pack");
    if is_push {
        pushes.fetch_add(1, Ordering::SeqCst);
    }
    let fault = (choose.lock().unwrap())(number, is_push);
    if let Some(Fault::Silent) = fault {
        // Held until the client gives up.
        let mut rest = Vec::new();
        return client.read_to_end(&mut rest).map(drop);
    }
    let mut server = daemon(root, config).spawn()?;
    let mut input = server.stdin.take().unwrap();
    let mut output = server.stdout.take().unwrap();
    input.write_all(&request)?;
    let mut from_client = client.try_clone()?;
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut buffer) {
            if input.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
    });
    if let Some(Fault::CutWhen(file)) = &fault {
        let (file, client) = (file.clone(), client.try_clone()?);
        std::thread::spawn(move || {
            while !file.exists() {
                std::thread::sleep(Duration::from_millis(2));
            }
            let _ = client.shutdown(Shutdown::Both);
        });
    }
    if let Some(Fault::CutAfter(length)) = fault {
        let client = client.try_clone()?;
        std::thread::spawn(move || {
            std::thread::sleep(length);
            let _ = client.shutdown(Shutdown::Both);
        });
    }
    forward(&mut output, &mut client, fault.as_ref());
    let _ = client.shutdown(Shutdown::Both);
    server.wait().map(drop)
}

/// Passes on what the server says. Once the wire is cut the server talks to nobody, and goes on.
fn forward(output: &mut impl Read, client: &mut TcpStream, fault: Option<&Fault>) {
    let mut buffer = [0; 4096];
    let mut passed = 0;
    let mut is_cut = false;
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        if let Some(Fault::Slow(delay)) = fault {
            std::thread::sleep(*delay);
        }
        let end = match fault {
            Some(Fault::Cut(at)) => read.min(at.saturating_sub(passed)),
            _ => read,
        };
        passed += read;
        is_cut = is_cut || client.write_all(&buffer[..end]).is_err();
        if end < read && !is_cut {
            is_cut = true;
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

/// Git's server for one connection, on its standard input and output.
fn daemon(root: &Path, config: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .args(["daemon", "--inetd", "--export-all", "--enable=receive-pack"])
        .arg(format!("--base-path={}", root.display()))
        .arg(root)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", config)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// One packet of git's protocol, with its length.
fn packet(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    client.read_exact(&mut packet)?;
    let length = std::str::from_utf8(&packet).ok();
    let length = length.and_then(|hex| usize::from_str_radix(hex, 16).ok());
    packet.resize(length.unwrap_or(4).max(4), 0);
    client.read_exact(&mut packet[4..])?;
    Ok(packet)
}
