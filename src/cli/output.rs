//! What is printed: results on stdout, everything else on stderr, colour on terminals only.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Local, TimeDelta, Utc};
use unicode_width::UnicodeWidthStr as _;

use super::exit::Failure;
use super::interrupt::Interrupt;
use git_latch::git::command::Git;
use git_latch::rules::spelling::{Here, word};

/// Paths.
pub(crate) const PATH: Style = Style::new().bold();
/// What asks for attention.
pub(crate) const ALERT: Style = AnsiColor::Red.on_default().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Where a command prints to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// One JSON object instead of text.
    pub(crate) json: bool,
    /// Results and errors only.
    pub(crate) quiet: bool,
}

impl Output {
    /// A line of the result, for people.
    pub(crate) fn result(self, line: impl AsRef<str>) {
        if !self.json {
            print(line.as_ref());
        }
    }

    /// Lines of the result, for people, at once.
    pub(crate) fn lines(self, lines: &str) {
        if !self.json {
            // A reader that has gone away has seen enough.
            let _ = std::io::stdout().write_all(lines.as_bytes());
        }
    }

    /// The same, in the user's pager where there may be many.
    pub(crate) fn paged(self, git: &Git, lines: &str) {
        if !self.json && !page(git, lines) {
            self.lines(lines);
        }
    }

    /// A line that says what was done.
    pub(crate) fn done(self, line: impl AsRef<str>) {
        if !self.json && !self.quiet {
            print(line.as_ref());
        }
    }

    /// A line that somebody waiting for the result wants to see.
    pub(crate) fn progress(self, line: impl AsRef<str>) {
        if !self.quiet {
            eprint(line.as_ref());
        }
    }

    /// What a user should know besides the result.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if !self.quiet {
            eprint(&format!("{NOTE}note:{NOTE:#} {}", text.as_ref()));
        }
    }

    /// The next step, where nothing failed.
    pub(crate) fn hint(self, text: impl AsRef<str>) {
        if !self.quiet {
            eprint(&hint_line(text.as_ref()));
        }
    }
}

/// The one JSON object.
pub(crate) fn object(object: &impl serde::Serialize) {
    let mut out = std::io::BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
    // A reader that has gone away has seen enough.
    let _ = serde_json::to_writer(&mut out, object);
    let _ = out.write_all(b"\n");
}

/// What failed, why, and the next step.
pub(crate) fn failure(failure: &Failure) {
    eprint(&format!("{ALERT}error:{ALERT:#} {}", failure.message));
    for cause in &failure.causes {
        eprint(&format!("  caused by: {cause}"));
    }
    if let Some(hint) = &failure.hint {
        eprint(&hint_line(hint));
    }
}

fn hint_line(text: &str) -> String {
    format!("{HINT}hint:{HINT:#} {text}")
}

fn print(line: &str) {
    // A reader that has gone away has seen enough.
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// A line on stderr; that nobody reads it is no reason to fail.
pub(crate) fn eprint(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Words on stderr that somebody answers on the same line.
#[cfg(feature = "server")]
pub(crate) fn ask(words: &str) {
    let _ = write!(anstream::stderr(), "{words}");
}

/// A cell of a table: its text, and the style it gets.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A plain cell.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Cell {
            text: text.into(),
            style: Style::new(),
        }
    }

    /// The name of a path, as it is called where somebody stands.
    pub(crate) fn path(name: impl Into<String>) -> Self {
        Cell {
            text: name.into(),
            style: PATH,
        }
    }

    /// What matters less.
    pub(crate) fn dim(text: impl Into<String>) -> Self {
        Cell {
            text: text.into(),
            style: DIM,
        }
    }

    /// Whether this is its text.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// The columns it takes on a terminal.
    fn width(&self) -> usize {
        if self.text.is_ascii() {
            self.text.len()
        } else {
            self.text.width()
        }
    }
}

/// Rows with aligned columns, a line each; the last column is not padded, and empty ones disappear.
pub(crate) fn table(rows: &[Vec<Cell>]) -> String {
    table_in(rows, room())
}

/// The columns there are on the terminal, or that a line in a file may well take.
fn room() -> usize {
    git_latch::os::terminal::columns().unwrap_or(100)
}

/// A table in so many columns. What is longer than its share of them is not cut off, as it may be wanted as input; it only
/// pushes the rest of its own row aside, and not that of every other.
fn table_in(rows: &[Vec<Cell>], room: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let share = if column == 0 { room * 2 / 5 } else { room / 4 };
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(Cell::width).filter(|width| *width > 0);
        let (fit, over): (Vec<usize>, Vec<usize>) = widths.partition(|width| *width <= share);
        // A column in which nothing fits is none: every row has its own.
        fit.into_iter()
            .max()
            .unwrap_or_else(|| usize::from(!over.is_empty()))
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    // Decided once, and not by stripping colours from a hundred thousand lines.
    let is_plain = anstream::AutoStream::choice(&std::io::stdout()) == anstream::ColorChoice::Never;
    let mut lines = String::new();
    for row in rows {
        let mut gap = 0;
        for (cell, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            if !cell.text.is_empty() {
                lines.extend(std::iter::repeat_n(' ', gap));
                let style = if is_plain { Style::new() } else { cell.style };
                // Writing to a string cannot fail.
                let _ = write!(lines, "{style}{}{style:#}", cell.text);
                gap = 0;
            }
            gap += width.saturating_sub(cell.width()) + 2;
        }
        lines.push('\n');
    }
    lines
}

/// Shows lines in the user's pager, as git does; says whether it did. On a terminal only, and not where the pager is `cat`.
fn page(git: &Git, lines: &str) -> bool {
    if lines.is_empty() || !std::io::stdout().is_terminal() {
        return false;
    }
    // The one that git would use: GIT_PAGER, `core.pager`, PAGER, or its own choice.
    let pager = git.output(&["var", "GIT_PAGER"]).unwrap_or_default();
    let pager = String::from_utf8_lossy(&pager).trim().to_owned();
    if pager.is_empty() || pager == "cat" {
        return false;
    }
    let mut command = Command::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    for (name, value) in [("LESS", "FRX"), ("LV", "-c")] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    // Ctrl-C is the pager's while it runs.
    let _interrupt = Interrupt::catch();
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever quits the pager has seen enough.
        let _ = stdin.write_all(lines.as_bytes());
    }
    child.wait().is_ok()
}

/// Text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Text that matters less.
pub(crate) fn dim(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    styled(DIM, text)
}

/// A path of the repository, as it is called where somebody stands.
pub(crate) fn path(here: &Here, bytes: &[u8]) -> String {
    name(&here.path(bytes))
}

/// The name of a path, as [`Here`] gives it.
pub(crate) fn name(name: &str) -> String {
    styled(PATH, name)
}

/// A file of the system, as a word for a shell.
pub(crate) fn file(path: &Path) -> String {
    word(path.as_os_str().as_encoded_bytes())
}

/// How long ago: "just now", "3 min ago".
pub(crate) fn ago(moment: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let passed = now - moment;
    if passed < TimeDelta::seconds(-1) {
        return format!("{} ahead of this clock", length(-passed));
    }
    if passed < TimeDelta::seconds(5) {
        return "just now".into();
    }
    format!("{} ago", length(passed))
}

/// When something ends: "in 23 h", "never".
pub(crate) fn until(end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    match end {
        None => "never".into(),
        Some(end) if end <= now => "now".into(),
        Some(end) => format!("in {}", length(end - now)),
    }
}

/// A moment by the clock on the wall.
pub(crate) fn wall(moment: DateTime<Utc>) -> String {
    moment
        .with_timezone(&Local)
        .format("%Y-%m-%d %H:%M")
        .to_string()
}

/// A length of time in the unit people would use; rounded to the nearest.
fn length(delta: TimeDelta) -> String {
    let seconds = delta.num_milliseconds().max(0).saturating_add(500) / 1000;
    let nearest = |unit: i64| (seconds + unit / 2) / unit;
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5399 => format!("{} min", nearest(60)),
        5400..=172_799 => format!("{} h", nearest(3600)),
        _ => format!("{} d", nearest(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_people_use() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let before = |seconds| ago(now - TimeDelta::seconds(seconds), now);
        assert_eq!(before(2), "just now");
        assert_eq!(before(45), "45 s ago");
        assert_eq!(before(180), "3 min ago");
        assert_eq!(before(7200), "2 h ago");
        assert_eq!(before(9600), "3 h ago");
        assert_eq!(before(86_400 * 3), "3 d ago");
        assert_eq!(before(-3600), "60 min ahead of this clock");
        assert_eq!(until(Some(now + TimeDelta::hours(23)), now), "in 23 h");
        assert_eq!(until(None, now), "never");
    }

    fn plain_table(rows: &[[&str; 3]], room: usize) -> String {
        let row = |row: &[&str; 3]| row.map(Cell::plain).to_vec();
        let rows: Vec<Vec<Cell>> = rows.iter().map(row).collect();
        anstream::adapter::strip_str(&table_in(&rows, room)).to_string()
    }

    #[test]
    fn one_long_cell_does_not_pad_every_row() {
        let long = "a/very/long/path/to/somewhere/else.psd";
        let rows = [
            ["a.psd", "ada", "x"],
            [long, "bob", "y"],
            ["bb.psd", "a-rather-long-owner", "z"],
        ];
        let expected = format!("a.psd   ada  x\n{long}  bob  y\nbb.psd  a-rather-long-owner  z\n");
        assert_eq!(plain_table(&rows, 40), expected);
        // Where there is room, everything stands in its column.
        let wide = plain_table(&rows, 200);
        assert!(
            wide.lines()
                .all(|line| line.find(['x', 'y', 'z']).is_some())
        );
        let at: Vec<_> = wide.lines().map(str::len).collect();
        assert!(at.iter().all(|length| *length == at[0]), "{wide}");
    }

    #[test]
    fn the_first_column_has_the_largest_share_and_what_fits_nowhere_is_shown_all_the_same() {
        let rows = [["a.psd", "", "x"], ["textures/a.psd", "a-long-owner", "y"]];
        let expected = "a.psd              x\ntextures/a.psd  a-long-owner  y\n";
        assert_eq!(plain_table(&rows, 40), expected);
    }

    #[test]
    fn wide_signs_take_two_columns() {
        let rows = [
            ["🎨.psd", "ada", "x"],
            ["日本.psd", "ada", "x"],
            ["👩‍🎨.psd", "ada", "x"],
            ["e\u{301}.psd", "ada", "x"],
        ];
        let told = plain_table(&rows, 100);
        let expected =
            "🎨.psd    ada  x\n日本.psd  ada  x\n👩‍🎨.psd    ada  x\ne\u{301}.psd     ada  x\n";
        assert_eq!(told, expected);
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows = vec![
            vec![Cell::path("a"), Cell::plain(""), Cell::dim("x")],
            vec![Cell::path("日本"), Cell::plain(""), Cell::dim("")],
        ];
        let text = anstream::adapter::strip_str(&table(&rows)).to_string();
        assert_eq!(text, "a     x\n日本\n");
    }
}
