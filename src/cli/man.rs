//! `git latch man`

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use serde_json::json;

use super::context::Context;
use super::topics::{self, Line};
use super::{Answer, Cli};
use git_latch::rules::error::{Error, Result};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write one page per command into this directory instead
    #[arg(long = "directory", value_name = "DIR")]
    pages: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let mut command = Cli::command()
            .name("git-latch")
            .disable_help_subcommand(true);
        command.build();
        if let Some(directory) = &self.pages {
            std::fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
            write_all(&command, directory).map_err(Error::io("write the pages to", directory))?;
            return Ok(Answer::done(json!({"directory": directory})));
        }
        let mut page = Vec::new();
        write(&command, &mut page).map_err(Error::io("render", "git-latch.1"))?;
        let page = String::from_utf8_lossy(&page).into_owned();
        context.output.result(page.trim_end());
        Ok(Answer::done(json!({ "page": page })))
    }
}

/// A page for the command, and one for each below it.
fn write_all(command: &Command, directory: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        write_all(below, directory)?;
    }
    let name = command.get_display_name().unwrap_or("git-latch");
    write(
        command,
        &mut File::create(directory.join(format!("{name}.1")))?,
    )
}

/// The page of a command. The synopsis is clap's own usage: that of the generator leaves out what options take.
fn write(command: &Command, to: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(command.clone());
    // The generator's title leaves an empty date out, and all that follows takes its place.
    let title = command.get_display_name().unwrap_or("git-latch");
    let version = env!("CARGO_PKG_VERSION");
    writeln!(
        to,
        ".TH {title} 1 \"\" \"git-latch {version}\" \"Git Latch Manual\""
    )?;
    man.render_name_section(to)?;
    let usage = command.clone().render_usage().to_string();
    writeln!(to, ".SH SYNOPSIS")?;
    for line in usage.trim_start_matches("Usage: ").lines() {
        writeln!(to, "{}\n.br", escaped(line.trim()))?;
    }
    man.render_description_section(to)?;
    man.render_options_section(to)?;
    if command.has_subcommands() {
        man.render_subcommands_section(to)?;
    }
    let name = command.get_bin_name().unwrap_or_default();
    if let Some(below) = name.strip_prefix("git latch ") {
        write_topics(below, to)?;
        return writeln!(to, ".SH \"SEE ALSO\"\n.BR git\\-latch (1)");
    }
    write_topics("git-latch", to)
}

fn write_topics(name: &str, to: &mut dyn Write) -> io::Result<()> {
    for line in topics::of(name).into_iter().flat_map(topics::lines) {
        match line {
            Line::Title(title) => writeln!(to, ".SH \"{}\"", title.to_uppercase())?,
            Line::Term(term) => writeln!(to, ".TP\n\\fB{}\\fR", escaped(term))?,
            Line::Meaning(meaning) => writeln!(to, "{}", escaped(meaning))?,
        }
    }
    Ok(())
}

/// Text that roff prints as it is.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if text.starts_with('.') {
        format!("\\&{text}")
    } else {
        text
    }
}
