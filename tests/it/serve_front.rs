//! What stands in front of `git latch serve`: TLS, as curl and git lfs speak it, and nginx with our recipe.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::{Server, again, served_with, serving, users};
use crate::support::stream::Stream;
use crate::support::{Run, Sandbox, clones, eventually};

/// Whether a program is there: without it the story is skipped.
fn is_there(sandbox: &Sandbox, program: &str, version: &str) -> bool {
    let found = sandbox.command(program).arg(version).output();
    let is_there = found.is_ok_and(|found| found.status.success());
    if !is_there {
        eprintln!("skipped: there is no {program} here");
    }
    is_there
}

/// A certificate for this machine that signs itself, and its key.
struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// `None` where the programs that this takes are missing.
    fn new(sandbox: &Sandbox, name: &str) -> Option<Self> {
        if !is_there(sandbox, "openssl", "version") || !is_there(sandbox, "curl", "--version") {
            return None;
        }
        let file = |what: &str| sandbox.path().join(format!("{name}.{what}"));
        let made = Certificate {
            cert: file("cert"),
            key: file("key"),
        };
        let mut command = sandbox.command("openssl");
        command
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' '));
        command.args("-subj /CN=latch -addext subjectAltName=IP:127.0.0.1".split(' '));
        command
            .arg("-out")
            .arg(&made.cert)
            .arg("-keyout")
            .arg(&made.key);
        Run::of(&mut command).ended(0);
        Some(made)
    }
}

/// Serves over TLS.
fn serve(sandbox: &Sandbox, certificate: &Certificate) -> Server {
    served_with(sandbox, |command| {
        command.arg("--tls-cert").arg(&certificate.cert);
        command.arg("--tls-key").arg(&certificate.key);
    })
}

/// Asks as `ada`, over TLS.
fn curl(sandbox: &Sandbox, certificate: &Certificate) -> Command {
    let mut command = sandbox.command("curl");
    command
        .args(["--silent", "--show-error", "--user", "ada:secret-ada"])
        .arg("--cacert")
        .arg(&certificate.cert);
    command
}

fn locks(server: &Server) -> String {
    format!("https://{}/api/v1/repos/remote/-/locks", server.address)
}

fn lock(path: &str) -> String {
    json!({"paths": [path]}).to_string()
}

#[test]
fn over_tls_both_protocols_are_spoken() {
    let sandbox = Sandbox::new();
    let Some(certificate) = Certificate::new(&sandbox, "server") else {
        return;
    };
    let server = serve(&sandbox, &certificate);
    for (protocol, version, path) in [("--http1.1", "1.1", "a"), ("--http2", "2", "b")] {
        let mut asking = curl(&sandbox, &certificate);
        asking.args([protocol, "--write-out", "\n%{http_version} %{http_code}"]);
        let told = Run::of(asking.args(["--json", &lock(path), &locks(&server)])).ended(0);
        let (body, figures) = told.stdout.rsplit_once('\n').unwrap();
        assert_eq!(figures, format!("{version} 201"), "{body}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["locked"][0]["path"], path);
    }
    // Whoever does not know the certificate learns nothing, and who speaks without TLS gets no answer.
    let mut stranger = sandbox.command("curl");
    Run::of(stranger.args(["--silent", &locks(&server)])).ended(60);
    assert!(server.by("ada").try_lock("c").is_err());
    let mut asking = curl(&sandbox, &certificate);
    let told = Run::of(asking.arg(locks(&server))).ended(0);
    let listed: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(listed["locks"].as_array().unwrap().len(), 2);
}

#[test]
fn streams_over_http_2_tell_what_happens_and_end_with_the_server() {
    let sandbox = Sandbox::new();
    let Some(certificate) = Certificate::new(&sandbox, "server") else {
        return;
    };
    let server = serve(&sandbox, &certificate);
    let events = locks(&server).replace("/locks", "/events");
    let mut reading = curl(&sandbox, &certificate);
    let mut stream = Stream::start(reading.args(["--no-buffer", "--http2", &events]));
    assert!(stream.next().starts_with("retry: "));
    let mut asking = curl(&sandbox, &certificate);
    Run::of(asking.args(["--json", &lock("hero.psd"), &locks(&server)])).ended(0);
    let told = std::iter::repeat_with(|| stream.next()).find(|line| line.starts_with("data: "));
    assert!(told.unwrap().contains("\"path\":\"hero.psd\""));
    assert_eq!(server.end(), 0);
    stream.ended();
}

#[test]
fn git_lfs_locks_over_tls() {
    let sandbox = Sandbox::new();
    if Run::of(sandbox.command("git").args(["lfs", "version"])).code != 0 {
        eprintln!("skipped: there is no git lfs here");
        return;
    }
    let Some(certificate) = Certificate::new(&sandbox, "server") else {
        return;
    };
    let server = serve(&sandbox, &certificate);
    let ada = clones::clone(&sandbox, "ada");
    let url = format!(
        "https://ada:secret-ada@{}/remote.git/info/lfs",
        server.address
    );
    ada.git(&["config", "lfs.url", &url]);
    ada.try_git(&["lfs", "lock", "hero.psd"]).ended(2);
    let cert = certificate.cert.display().to_string();
    ada.git(&["config", "http.sslCAInfo", &cert]);
    ada.git(&["lfs", "lock", "hero.psd"]);
    assert!(ada.git(&["lfs", "locks"]).starts_with("hero.psd\tada\tID:"));
}

#[test]
fn what_is_no_certificate_is_said_before_anything_is_served() {
    let sandbox = Sandbox::new();
    clones::remote(&sandbox);
    users(&sandbox);
    let made = |name: &str| Certificate::new(&sandbox, name);
    let Some((one, other)) = made("one").zip(made("other")) else {
        return;
    };
    let missing = sandbox.path().join("missing");
    for (cert, key, said) in [
        (&one.key, &one.key, "the certificate in"),
        (&one.cert, &one.cert, "the key in"),
        (&one.cert, &other.key, "the certificate in"),
        (&missing, &one.key, "missing"),
        (&one.cert, &missing, "missing"),
    ] {
        let mut command = serving(&sandbox, &["--repo", "remote.git"]);
        command
            .arg("--tls-cert")
            .arg(cert)
            .arg("--tls-key")
            .arg(key);
        let told = Run::of(&mut command).ended(2);
        assert!(told.stderr.contains(said), "{said}: {told:?}");
    }
}

/// The configuration that we recommend for nginx.
const RECIPE: &str = include_str!("../../fixtures/recipes/nginx.conf");

/// nginx before a server, on a socket of its own; `lines` are added to the recipe.
struct Nginx {
    _process: Stream,
    socket: PathBuf,
}

impl Nginx {
    fn before(sandbox: &Sandbox, server: &Server, lines: &str) -> Self {
        let home = sandbox.path().join("nginx");
        fs::create_dir(&home).unwrap();
        let socket = home.join("socket");
        let location = RECIPE.replace("127.0.0.1:7420", &server.address);
        assert!(location.contains(&server.address), "{location}");
        let location = location.replacen('{', &format!("{{\n{lines}"), 1);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", home.join(what).display()))
            .concat();
        let text = format!(
            "daemon off; pid {pid}; error_log stderr; events {{}}\nhttp {{ access_log off;\n{temporary}\
             server {{ listen unix:{socket}; server_name latch.example.com;\n{location} }} }}\n",
            pid = home.join("pid").display(),
            socket = socket.display(),
        );
        let file = home.join("nginx.conf");
        fs::write(&file, text).unwrap();
        let mut command = sandbox.command("nginx");
        let process = Stream::start(command.arg("-p").arg(&home).arg("-c").arg(&file));
        eventually("nginx listens", || socket.exists());
        Nginx {
            _process: process,
            socket,
        }
    }

    fn curl(&self, sandbox: &Sandbox, who: &str) -> Command {
        let mut command = sandbox.command("curl");
        command.args(["--silent", "--show-error", "--user", who]);
        command.arg("--unix-socket").arg(&self.socket);
        command
    }
}

const PROXIED: &str = "http://latch.example.com/api/v1/repos/remote/-";

fn json_of(command: &mut Command) -> Value {
    let told = Run::of(command).ended(0);
    serde_json::from_str(&told.stdout).unwrap_or_else(|e| panic!("{e}: {told:?}"))
}

#[test]
fn behind_nginx_with_our_recipe_everything_works() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox, "nginx", "-v") || !is_there(&sandbox, "curl", "--version") {
        return;
    }
    let server = served_with(&sandbox, |command| {
        command.args(["--host", "latch.example.com", "--trust-proxy", "127.0.0.1"]);
    });
    let nginx = Nginx::before(&sandbox, &server, "");
    let ada = || nginx.curl(&sandbox, "ada:secret-ada");
    let (locks, events) = (format!("{PROXIED}/locks"), format!("{PROXIED}/events"));
    let mut stream = Stream::start(ada().args(["--no-buffer", &events]));
    assert!(stream.next().starts_with("retry: "));
    let taken = json_of(ada().args(["--json", &lock("hero.psd"), &locks]));
    let lease = taken["locked"][0]["lease"].as_str().unwrap();
    // It comes at once, not when nginx has collected enough.
    let told = std::iter::repeat_with(|| stream.next()).find(|line| line.starts_with("data: "));
    assert!(told.unwrap().contains("\"event\":\"locked\""));
    let one = format!("{locks}/{lease}");
    json_of(ada().args(["--request", "DELETE", &one]));
    let page = Run::of(ada().arg("http://latch.example.com/remote")).ended(0);
    assert!(page.stdout.contains("<title>"), "{}", page.stdout);
    // The name was told to the server: another one is refused, whatever stands between.
    let elsewhere = locks.replace("latch.example.com", "evil.example.com");
    assert_eq!(json_of(ada().arg(&elsewhere))["status"], 421);
    // That the proxy is believed where a request comes from does not make it say who somebody is.
    let wrong = json_of(nginx.curl(&sandbox, "ada:wrong").args([
        "--header",
        "X-Forwarded-User: max",
        &locks,
    ]));
    assert_eq!(
        (&wrong["status"], &wrong["code"]),
        (&json!(401), &json!("no_identity"))
    );
}

#[test]
fn whom_nginx_knows_the_server_knows_and_nobody_else() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox, "nginx", "-v") || !is_there(&sandbox, "curl", "--version") {
        return;
    }
    clones::remote(&sandbox);
    users(&sandbox);
    let server = again(&sandbox, |command| {
        command.args(["--host", "latch.example.com", "--trust-proxy", "127.0.0.1"]);
        command.args(["--proxy-header", "X-Forwarded-User"]);
    });
    let passwords = sandbox.path().join("htpasswd");
    fs::write(
        &passwords,
        "ada:{PLAIN}at-the-door\neve:{PLAIN}at-the-door\n",
    )
    .unwrap();
    let lines = format!(
        "auth_basic latch; auth_basic_user_file {};\n\
         proxy_set_header Authorization \"\"; proxy_set_header X-Forwarded-User $remote_user;\n",
        Path::new(&passwords).display()
    );
    let nginx = Nginx::before(&sandbox, &server, &lines);
    let locks = format!("{PROXIED}/locks");
    let taking = |who: &str, path: &str| {
        let mut command = nginx.curl(&sandbox, &format!("{who}:at-the-door"));
        // What a client claims is not what the proxy says.
        command.args(["--header", "X-Forwarded-User: max"]);
        json_of(command.args(["--json", &lock(path), &locks]))
    };
    let taken = taking("ada", "hero.psd");
    assert_eq!(taken["locked"][0]["owner"]["id"], "ada@example.com");
    assert_eq!(taking("eve", "notes.txt")["code"], "forbidden");
    let mut stranger = nginx.curl(&sandbox, "max:at-the-door");
    let told = Run::of(stranger.args(["--write-out", "%{http_code}", &locks])).ended(0);
    assert!(told.stdout.ends_with("401"), "{}", told.stdout);
}
