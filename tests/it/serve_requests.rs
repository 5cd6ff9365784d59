//! `git latch serve`: what a request must be like to be answered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::Sandbox;
use crate::support::clones::remote;
use crate::support::server::{Server, served, serving, users};

const LOCKS: &str = "/api/v1/repos/remote/-/locks";

#[test]
fn a_request_by_another_name_or_from_another_page_is_refused() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let get = |headers: &[(&str, &str)]| ada.ask("GET", LOCKS, headers, b"").status();
    for host in [
        "evil.example",
        "evil.example:7420",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
    ] {
        assert!([400, 421].contains(&get(&[("host", host)])), "{host}");
    }
    let number = server.address.rsplit(':').next().unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        &format!("LOCALHOST:{number}"),
        "[::1]:1",
    ] {
        assert_eq!(get(&[("host", host)]), 200, "{host}");
    }
    let body = br#"{"paths":["hero.psd"]}"#;
    let post = |header: (&str, &str)| ada.ask("POST", LOCKS, &[header], body).status();
    let own = format!("http://{}", server.address);
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(post((name, value)), 403, "{name}: {value}");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
        " ",
    ] {
        assert_eq!(post(("content-type", kind)), 415, "{kind}");
    }
    assert_eq!(ada.listed(""), [""; 0]);
    let cross = ada.ask(
        "DELETE",
        &format!("{LOCKS}/x"),
        &[("origin", "http://evil.example")],
        b"",
    );
    cross.is_problem(403, "forbidden");
    assert_eq!(post(("origin", &own)), 201);
    assert_eq!(
        post(("content-type", "application/json; charset=utf-8")),
        200
    );
    assert_eq!(ada.get("locks").header("access-control-allow-origin"), "");
}

#[test]
fn names_that_were_given_are_ours() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    users(&sandbox);
    let arguments = ["--repo", "remote.git", "--host", "latch.example"];
    let server = Server::start(&mut serving(&sandbox, &arguments));
    let get = |host| {
        server
            .by("ada")
            .ask("GET", LOCKS, &[("host", host)], b"")
            .status()
    };
    assert_eq!(get("latch.example"), 200);
    assert_eq!(get("Latch.Example:443"), 200);
    assert_eq!(get("other.example"), 421);
}

#[test]
fn bodies_that_cannot_be_read_are_told_apart() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let post = |body: &[u8]| ada.ask("POST", LOCKS, &[], body);
    for broken in [
        "{",
        "nonsense",
        "{\"paths\":[\"a\"]",
        "{\"paths\":[\"a\"]} x",
    ] {
        post(broken.as_bytes()).is_problem(400, "bad_usage");
    }
    post(b"{\"paths\":[\"\xff\"]}").is_problem(400, "bad_usage");
    for wrong in [
        "[]",
        "{}",
        "{\"paths\":\"a\"}",
        "{\"paths\":[\"a\"],\"x\":1}",
        "{\"paths\":[1]}",
        "null",
        "",
    ] {
        post(wrong.as_bytes()).is_problem(422, "bad_usage");
    }
    let deep = format!("{{\"paths\":[\"a\"],\"x\":{}", "[".repeat(100_000));
    assert!([400, 422].contains(&post(deep.as_bytes()).status()));
    // The length is enough: nobody waits for what is too long.
    ada.ask("POST", LOCKS, &[("content-length", "1048577")], b"")
        .is_problem(413, "bad_usage");
    assert_eq!(ada.listed(""), [""; 0]);
}

#[test]
fn what_nothing_answers_to_is_told_as_a_problem() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    for (method, target) in [
        ("PUT", LOCKS),
        ("DELETE", LOCKS),
        ("PATCH", LOCKS),
        ("BREW", LOCKS),
        ("POST", "/healthz"),
    ] {
        let refused = ada.ask(method, target, &[("content-type", "application/json")], b"");
        refused.is_problem(405, "bad_usage");
        assert!(refused.header("allow").contains("GET"), "{refused:?}");
    }
    for nowhere in [
        "/api/v1/repos/remote/-/nothing",
        "/api/v2",
        "/api/v1/repos/remote/-/locks/a/b/c",
        "/-/x",
    ] {
        assert_eq!(ada.ask("GET", nowhere, &[], b"").status(), 404, "{nowhere}");
    }
    assert_eq!(ada.ask("HEAD", LOCKS, &[], b"").status(), 200);
    let long = format!("{LOCKS}?path={}", "x".repeat(9_000));
    assert_eq!(ada.ask("GET", &long, &[], b"").status(), 414);
    // What is no HTTP ends the connection, not the server.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"\x16\x03\x01 what?\r\n\r\n").unwrap();
    drop(stream.read_to_end(&mut Vec::new()));
    ada.get("locks").is(200);
}
