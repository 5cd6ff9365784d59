//! `git latch user`

mod password;
mod shown;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Answer;
use super::context::Context;
use super::output::{Cell, table};
use git_latch::rules::error::{Error, Result};
use git_latch::rules::time::Clock as _;
use git_latch::server::users::{Access, PasswordHash, Token, User, Users};
use shown::{done, report, row};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user, or change one; the password is read from standard input
    Add(Add),
    /// Remove a user, with the password and every token
    Remove(Remove),
    /// List the users
    List(List),
    /// Make a token for a program of a user's, and print it; it cannot be shown again
    Token(Issue),
}

#[derive(Debug, Args)]
struct TheFile {
    /// The file of users
    #[arg(long = "users", value_name = "FILE")]
    path: PathBuf,
}

#[derive(Debug, Args)]
struct Add {
    /// The name to log in with
    #[arg(value_name = "NAME")]
    name: String,
    /// What the user may do; `none` only with `--repo`
    #[arg(long, value_parser = PossibleValuesParser::new(["viewer", "editor", "admin", "none"])
        .try_map(|word| word.parse::<Access>()))]
    role: Access,
    /// In this repository only, instead of everywhere: its path below the server's root, without `.git`
    #[arg(long)]
    repo: Option<String>,
    /// The owner id of the user's locks [default: NAME]
    #[arg(long, value_name = "OWNER_ID")]
    id: Option<String>,
    /// What people are shown [default: NAME]
    #[arg(long = "name", value_name = "SHOWN")]
    shown: Option<String>,
    /// Allow no password: the user comes through a proxy, or with a token
    #[arg(long, conflicts_with = "keep_password")]
    no_password: bool,
    /// Keep the user's password; the default with `--repo` for an existing user
    #[arg(long)]
    keep_password: bool,
    #[command(flatten)]
    file: TheFile,
}

#[derive(Debug, Args)]
struct Remove {
    /// The user's name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    file: TheFile,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    file: TheFile,
}

#[derive(Debug, Args)]
struct Issue {
    /// The user's name
    #[arg(value_name = "NAME")]
    name: String,
    /// What the token is for, such as `ci`
    #[arg(long)]
    label: String,
    /// Revoke the token instead
    #[arg(long)]
    revoke: bool,
    #[command(flatten)]
    file: TheFile,
}

/// What becomes of the password.
enum Password {
    Keep,
    Become(Option<PasswordHash>),
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        match &self.action {
            Action::Add(add) => add.run(context),
            Action::Remove(remove) => remove.run(context),
            Action::List(list) => list.run(context),
            Action::Token(token) if token.revoke => token.revoke(context),
            Action::Token(token) => token.issue(context),
        }
    }
}

impl Add {
    fn run(&self, context: &Context) -> Result<Answer> {
        let is_known = self.check()?;
        let password = self.password(is_known)?;
        // Only now: typing a password takes its time, and others change the file meanwhile.
        let mut users = self.file.read_or_new()?;
        let mut user = users.get(&self.name).cloned().unwrap_or_default();
        self.apply_to(&mut user, password);
        let old = users.put(&self.name, user.clone())?;
        users.write(&self.file.path)?;
        let outcome = if old.is_some() { "changed" } else { "added" };
        Ok(done(context, outcome, &self.name, &user, None))
    }

    /// Refuses what can be seen to be wrong before somebody types a password; says whether the user is known.
    fn check(&self) -> Result<bool> {
        if self.role == Access::None && self.repo.is_none() {
            return Err(Error::BadUsage {
                problem: "the role `none` needs a repository".into(),
                hint: Some("name one with --repo, or: git latch user remove".into()),
            });
        }
        let mut users = self.file.read_or_new()?;
        let user = users.get(&self.name).cloned();
        if self.keep_password && user.is_none() {
            return Err(self.file.nobody(&self.name));
        }
        let is_known = user.is_some();
        let mut user = user.unwrap_or_default();
        self.apply_to(&mut user, Password::Keep);
        users.put(&self.name, user)?;
        Ok(is_known)
    }

    fn password(&self, is_known: bool) -> Result<Password> {
        // A role in one more repository is no new password.
        let is_about_a_role = is_known && self.repo.is_some();
        if self.keep_password || is_about_a_role && !self.no_password {
            return Ok(Password::Keep);
        }
        if self.no_password {
            return Ok(Password::Become(None));
        }
        let hash = PasswordHash::of(&password::read(&self.name)?)?;
        Ok(Password::Become(Some(hash)))
    }

    fn apply_to(&self, user: &mut User, password: Password) {
        match &self.repo {
            Some(repo) => drop(user.repos.insert(repo.clone(), self.role)),
            None => user.role = self.role.role(),
        }
        user.id = self.id.clone().or(user.id.take());
        user.name = self.shown.clone().or(user.name.take());
        if let Password::Become(hash) = password {
            user.password = hash;
        }
    }
}

impl Remove {
    fn run(&self, context: &Context) -> Result<Answer> {
        let mut users = Users::read(&self.file.path)?;
        let gone = users.remove(&self.name);
        let user = gone.ok_or_else(|| self.file.nobody(&self.name))?;
        users.write(&self.file.path)?;
        Ok(done(context, "removed", &self.name, &user, None))
    }
}

impl List {
    fn run(&self, context: &Context) -> Result<Answer> {
        let users = Users::read(&self.file.path)?;
        let rows: Vec<Vec<Cell>> = users.iter().map(|(name, user)| row(name, user)).collect();
        context.output.lines(&table(&rows));
        let users: Vec<Value> = users
            .iter()
            .map(|(name, user)| report(name, user))
            .collect();
        Ok(Answer::done(json!({"users": users, "token": null})))
    }
}

impl Issue {
    fn issue(&self, context: &Context) -> Result<Answer> {
        let (mut users, mut user) = self.user()?;
        if user.tokens.contains_key(&self.label) {
            return Err(Error::BadUsage {
                problem: format!("`{}` already has a token `{}`", self.name, self.label),
                hint: Some("revoke it with --revoke first, or use another label".into()),
            });
        }
        let (text, token) = Token::issue(context.clock.now());
        user.tokens.insert(self.label.clone(), token);
        users.put(&self.name, user.clone())?;
        users.write(&self.file.path)?;
        context.output.result(&text);
        let users = json!([report(&self.name, &user)]);
        Ok(Answer::done(json!({"users": users, "token": text})))
    }

    fn revoke(&self, context: &Context) -> Result<Answer> {
        let (mut users, mut user) = self.user()?;
        if user.tokens.remove(&self.label).is_none() {
            let problem = format!("`{}` has no token `{}`", self.name, self.label);
            return Err(bad_usage(problem));
        }
        users.put(&self.name, user.clone())?;
        users.write(&self.file.path)?;
        Ok(done(
            context,
            "revoked",
            &self.name,
            &user,
            Some(&self.label),
        ))
    }

    fn user(&self) -> Result<(Users, User)> {
        let users = Users::read(&self.file.path)?;
        let user = users.get(&self.name).cloned();
        let user = user.ok_or_else(|| self.file.nobody(&self.name))?;
        Ok((users, user))
    }
}

impl TheFile {
    fn read_or_new(&self) -> Result<Users> {
        Users::read_or_new(&self.path)
    }

    fn nobody(&self, name: &str) -> Error {
        Error::BadUsage {
            problem: format!(
                "there is no user `{}` in {}",
                git_latch::rules::spelling::escaped(name.as_bytes()),
                self.path.display()
            ),
            hint: Some("see: git latch user list --users FILE".into()),
        }
    }
}

fn bad_usage(problem: String) -> Error {
    Error::BadUsage {
        problem,
        hint: None,
    }
}
