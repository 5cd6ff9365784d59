//! Users as they are shown: to people and in JSON. Nothing of it is secret.

use serde_json::{Map, Value, json};

use crate::cli::Answer;
use crate::cli::context::Context;
use crate::cli::output::{Cell, GOOD, styled};
use git_latch::rules::spelling::escaped;
use git_latch::rules::time::rfc3339;
use git_latch::server::users::{Role, User};

/// Says what was done to one user.
pub(super) fn done(
    context: &Context,
    outcome: &str,
    name: &str,
    user: &User,
    label: Option<&str>,
) -> Answer {
    let label = label
        .map(|l| format!("the token `{l}` of "))
        .unwrap_or_default();
    let line = format!("{} {label}{name}", styled(GOOD, outcome));
    context.output.done(line);
    let users = json!([report(name, user)]);
    Answer::done(json!({"users": users, "token": null}))
}

/// A user in JSON.
pub(super) fn report(name: &str, user: &User) -> Value {
    let repos = user.repos.iter();
    let repos: Map<String, Value> = repos
        .map(|(repo, access)| (repo.clone(), access.as_str().into()))
        .collect();
    let tokens = user.tokens.iter();
    let tokens: Vec<Value> = tokens
        .map(|(label, token)| json!({"label": label, "created": rfc3339(token.created)}))
        .collect();
    json!({
        "name": name,
        "id": user.id_as(name),
        "shown": user.shown_as(name),
        "role": user.role.map(Role::as_str),
        "repos": repos,
        "has_password": user.password.is_some(),
        "tokens": tokens,
    })
}

/// A user for people.
pub(super) fn row(name: &str, user: &User) -> Vec<Cell> {
    let repos = user.repos.iter();
    let repos: Vec<String> = repos
        .map(|(repo, access)| format!("{}: {}", escaped(repo.as_bytes()), access.as_str()))
        .collect();
    let unless_name = |text: &str| {
        if text == name {
            String::new()
        } else {
            text.to_owned()
        }
    };
    let password = if user.password.is_some() {
        ""
    } else {
        "no password"
    };
    let tokens: Vec<&str> = user.tokens.keys().map(String::as_str).collect();
    let tokens = match tokens.as_slice() {
        [] => String::new(),
        labels => format!("tokens: {}", labels.join(", ")),
    };
    vec![
        Cell::plain(name),
        Cell::dim(unless_name(user.id_as(name))),
        Cell::dim(unless_name(user.shown_as(name))),
        Cell::plain(user.role.map_or("", Role::as_str)),
        Cell::plain(repos.join(", ")),
        Cell::dim(password),
        Cell::dim(tokens),
    ]
}
