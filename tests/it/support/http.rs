//! `git http-backend` on a loopback port, behind a user's name and password.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What a request has to say to be let in: `ada:secret`.
const AUTHORIZATION: &str = "Basic YWRhOnNlY3JldA==";

/// Serves the repositories below a directory until the program ends, with this global configuration of git; gives the URL.
pub(crate) fn serve(root: &Path, config: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (root, config) = (root.to_owned(), config.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (root, config) = (root.clone(), config.clone());
            std::thread::spawn(move || {
                // A client that goes away, or a test that is over, ends the exchange.
                let _ = answer(stream, &root, &config);
            });
        }
    });
    format!("http://{address}")
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        let name = name.to_ascii_lowercase();
        request.headers.push((name, value.trim().to_owned()));
    }
    if request.header("expect") == "100-continue" {
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding") == "chunked" {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    } else {
        let length = request.header("content-length").parse().unwrap_or(0);
        request.body = vec![0; length];
        stream.read_exact(&mut request.body)?;
    }
    Ok(request)
}

fn answer(stream: TcpStream, root: &PathBuf, config: &Path) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read(&mut stream)?;
    if request.header("authorization") != AUTHORIZATION {
        return stream.get_mut().write_all(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let mut backend = std::process::Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", config)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", request.header("git-protocol"))
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("REMOTE_USER", "ada")
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = backend.stdin.take().unwrap();
    let body = request.body;
    let writer = std::thread::spawn(move || stdin.write_all(&body));
    let output = backend.wait_with_output()?.stdout;
    let _ = writer.join();
    let split = output
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or(0);
    let headers = String::from_utf8_lossy(&output[..split]).into_owned();
    let status = headers
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let body = &output[split + 4..];
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes())?;
    stream.get_mut().write_all(body)
}
