//! Fault points: named steps at which a test build kills or halts itself. Release builds have none.
//!
//! `GIT_LATCH_FAULT=NAME` kills the process with `SIGKILL` when it comes to the step NAME, `NAME#2` when it comes there
//! for the second time. `GIT_LATCH_FAULT=NAME=DIR` makes it halt there: it creates `DIR/reached` and goes on when
//! `DIR/go` exists. `GIT_LATCH_TEST_CLOCK=SECONDS` sets this process's clock ahead, or back; `@FILE` by as
//! much as the file says at the moment.

use std::time::Duration;

/// A step at which a test may stop this process.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn point(_name: &str) {}

/// A step at which a test may stop this process.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static FAULT: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("GIT_LATCH_FAULT").ok());
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Some(fault) = FAULT.as_deref() else {
        return;
    };
    if let Some((step, directory)) = fault.split_once('=') {
        if step == name {
            halt(std::path::Path::new(directory));
        }
        return;
    }
    let (step, pass) = fault.split_once('#').unwrap_or((fault, "1"));
    if step == name && pass.parse() == Ok(PASSED.fetch_add(1, Ordering::Relaxed) + 1) {
        kill_myself();
    }
}

/// How long something may take; tests of what happens then do not want to wait so long, and say how many milliseconds.
pub(crate) fn limit(variable: &str, usual: Duration) -> Duration {
    if !cfg!(debug_assertions) {
        return usual;
    }
    let millis = std::env::var(variable).ok().and_then(|v| v.parse().ok());
    millis.map_or(usual, Duration::from_millis)
}

/// How far this process's clock is off.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn skew() -> chrono::TimeDelta {
    chrono::TimeDelta::zero()
}

/// How far this process's clock is off.
#[cfg(debug_assertions)]
pub(crate) fn skew() -> chrono::TimeDelta {
    use std::sync::LazyLock;
    static SKEW: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("GIT_LATCH_TEST_CLOCK").ok());
    let seconds = match SKEW.as_deref().map(|skew| (skew, skew.strip_prefix('@'))) {
        Some((_, Some(file))) => std::fs::read_to_string(file).ok(),
        Some((skew, None)) => Some(skew.to_owned()),
        None => None,
    };
    let seconds = seconds.and_then(|seconds| seconds.trim().parse().ok());
    chrono::TimeDelta::seconds(seconds.unwrap_or(0))
}

#[cfg(all(debug_assertions, unix))]
fn kill_myself() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

#[cfg(all(debug_assertions, not(unix)))]
fn kill_myself() {
    std::process::abort();
}

#[cfg(debug_assertions)]
fn halt(directory: &std::path::Path) {
    // Errors mean that the test is over: there is nobody left to wait for.
    if std::fs::write(directory.join("reached"), "").is_err() {
        return;
    }
    while directory.exists() && !directory.join("go").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
