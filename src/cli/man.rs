//! `git latch man`

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use serde_json::json;

use super::context::Context;
use super::{Answer, Cli};
use git_latch::error::{Error, Result};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write one page per command into this directory instead
    #[arg(long = "directory", value_name = "DIR")]
    pages: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let command = Cli::command().name("git-latch");
        if let Some(directory) = &self.pages {
            std::fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
            clap_mangen::generate_to(command, directory)
                .map_err(Error::io("write the pages to", directory))?;
            return Ok(Answer::done(json!({"directory": directory})));
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(Error::io("render", "git-latch.1"))?;
        let page = String::from_utf8_lossy(&page).into_owned();
        context.output.result(page.trim_end());
        Ok(Answer::done(json!({ "page": page })))
    }
}
