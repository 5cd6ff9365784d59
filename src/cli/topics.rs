//! What help and manual pages say besides the options: examples, exit status, defaults, files, environment. One text for
//! both, `topics.txt`.

use std::fmt::Write as _;

use clap::Command;
use clap::builder::Styles;

const TEXTS: &str = include_str!("topics.txt");

/// A line of such a text.
pub(super) enum Line {
    /// What the next rows are.
    Title(&'static str),
    /// A command, a code, a name.
    Term(&'static str),
    /// What the term means.
    Meaning(&'static str),
}

/// What is said of a command, by its name without `git latch`, and of those below it.
pub(super) fn of(name: &str) -> Option<&'static str> {
    let first = name.split(' ').next()?;
    let texts = TEXTS.split("\n== ").skip(1);
    texts
        .filter_map(|text| text.split_once('\n'))
        .find_map(|(title, text)| (title == first).then_some(text))
}

/// The lines of a text, without those that only set apart.
pub(super) fn lines(text: &'static str) -> impl Iterator<Item = Line> {
    text.lines()
        .flat_map(|line| {
            let term = line.strip_prefix("  ").filter(|row| !row.starts_with(' '));
            let (term, meaning) = match term {
                Some(row) => row.split_once("  ").unwrap_or((row, "")),
                None if line.starts_with(' ') => ("", line),
                None => return [line.strip_suffix(':').map(Line::Title), None],
            };
            let said = |text: &'static str| Some(text.trim()).filter(|text| !text.is_empty());
            [said(term).map(Line::Term), said(meaning).map(Line::Meaning)]
        })
        .flatten()
}

/// The program with what is said of it and its commands after their help.
pub(super) fn in_help(program: Command) -> Command {
    let text = of("git-latch").map(styled);
    below(program, "").after_help(text.unwrap_or_default())
}

fn below(command: Command, name: &str) -> Command {
    command.mut_subcommands(|sub| {
        let name = format!("{name} {}", sub.get_name());
        let name = name.trim_start();
        let text = of(name).map(styled);
        let sub = below(sub, name);
        match text {
            Some(text) => sub.after_help(text),
            None => sub,
        }
    })
}

/// A text with its titles as clap shows those of its own.
fn styled(text: &str) -> String {
    let styles = Styles::styled();
    let style = styles.get_header();
    let mut shown = String::new();
    for line in text.trim_end().lines() {
        let is_title = line.ends_with(':') && !line.starts_with(' ');
        let _ = if is_title {
            writeln!(shown, "{style}{line}{style:#}")
        } else {
            writeln!(shown, "{line}")
        };
    }
    shown
}
