//! `git latch uninstall`
use super::Answer;
use super::context::Context;
use clap::Args;
use git_latch::error::Result;
#[derive(Debug, Args)]
pub(super) struct Arguments {}
impl Arguments {
    pub(super) fn run(&self, _context: &Context) -> Result<Answer> {
        Ok(Answer::silent(0))
    }
}
