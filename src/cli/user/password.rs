//! Reading a password: the first line of standard input; at a terminal asked for twice, and not shown.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use crate::cli::output;
use git_latch::os::terminal::Hidden;
use git_latch::rules::error::{Error, Result};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 4096;

/// Reads the password of this user.
pub(super) fn read(name: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let hidden = Hidden::begin();
    let warning = if hidden.is_hidden() {
        ""
    } else {
        " (input will be visible)"
    };
    output::ask(&format!("Password for {name}{warning}: "));
    let first = typed(&hidden)?;
    output::ask("Again: ");
    let second = typed(&hidden)?;
    if first == second {
        return Ok(first);
    }
    Err(Error::BadUsage {
        problem: "the two passwords differ".into(),
        hint: None,
    })
}

/// A line that is typed. A terminal that does not show what is typed has not shown its end either.
fn typed(hidden: &Hidden) -> Result<String> {
    let typed = line()?;
    if hidden.is_hidden() {
        output::eprint("");
    }
    Ok(typed)
}

/// A line of standard input, without its end.
fn line() -> Result<String> {
    let mut bytes = Vec::new();
    let read = io::stdin()
        .lock()
        .take(LONGEST)
        .read_until(b'\n', &mut bytes);
    read.map_err(Error::io("read the password from", "-"))?;
    let mut line = bytes.as_slice();
    line = line.strip_suffix(b"\n").unwrap_or(line);
    line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line);
    text.map(str::to_owned).map_err(|_| Error::BadUsage {
        problem: "the password is not UTF-8".into(),
        hint: None,
    })
}
