//! `git latch serve`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Answer;
use super::context::Context;
use git_latch::git::command::Git;
use git_latch::git::config::Config;
use git_latch::latch::identity;
use git_latch::os::clock::SystemClock;
use git_latch::rules::error::{Error, Result};
use git_latch::rules::event::Author;
use git_latch::server::auth::{Authenticator, Caller, Network};
use git_latch::server::{self, Options, Source};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["root", "repo", "remote"]))]
pub(super) struct Arguments {
    /// Serve every bare repository below this directory
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Serve one bare repository
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Serve the locks of a git remote, which is changed by pushes
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
    /// With `--remote`: where to keep what was fetched [default: ~/.cache/git-latch]
    #[arg(long, value_name = "DIR", requires = "remote")]
    cache: Option<PathBuf>,
    /// Where to listen; port 0 is any
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7420", value_parser = address)]
    listen: SocketAddr,
    /// A name by which clients reach the server; addresses and `localhost` need none. Can be repeated
    #[arg(long = "host", value_name = "NAME", value_parser = host)]
    hosts: Vec<String>,
    /// Authenticate people by this file, which `git latch user` writes
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Trust a proxy at this address or network to say where a request comes from (`X-Forwarded-For`). Can be repeated
    #[arg(long, value_name = "ADDRESS", requires = "users")]
    trust_proxy: Vec<Network>,
    /// Also trust that proxy to name the user in this header, such as `X-Forwarded-User`, which it must not let clients send
    #[arg(long, value_name = "NAME", requires = "trust_proxy")]
    proxy_header: Option<String>,
    /// Send Git LFS clients there for contents; `{repo}` in it is the repository's name
    #[arg(long, value_name = "URL")]
    lfs_upstream: Option<String>,
    /// Speak TLS with this certificate (PEM, the whole chain)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Write a line of JSON for each request to this file; `-` is standard error
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Maximum number of open connections
    #[arg(long, value_name = "N", default_value_t = server::CONNECTIONS, value_parser = at_least_one)]
    max_connections: usize,
    /// Maximum number of locks of one person in one repository
    #[arg(long, value_name = "N", default_value_t = server::LOCKS_EACH, value_parser = at_least_one)]
    max_locks: usize,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let example = || "expected ADDRESS:PORT, such as 127.0.0.1:7420, 0.0.0.0:7420 or [::1]:7420";
    text.parse().map_err(|_| example().to_owned())
}

fn host(name: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err("expected a bare host name, such as latch.example.com".into());
    }
    Ok(name.to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| "expected a number above 0".into())
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let mut hosts = self.hosts.clone();
        hosts.push(context.environment.host.clone());
        let options = Options {
            source: self.source(context)?,
            listen: self.listen,
            hosts,
            authenticator: self.authenticator(context)?,
            has_users: self.users.is_some(),
            lfs_upstream: self.lfs_upstream.as_deref().map(upstream).transpose()?,
            tls: self.tls_cert.clone().zip(self.tls_key.clone()),
            access_log: self.access_log.clone(),
            connections: self.max_connections,
            locks_each: self.max_locks,
            server: Author {
                id: format!("git-latch@{}", context.environment.host),
                name: "git latch serve".into(),
            },
            clock: &SystemClock,
        };
        server::run(options, |url| {
            if context.output.json {
                super::output::object(&json!({ "listening": url }));
            } else {
                context.output.result(format!("listening on {url}"));
            }
        })?;
        Ok(Answer::silent(0))
    }

    fn source(&self, context: &Context) -> Result<Source> {
        match (&self.root, &self.repo, &self.remote) {
            (Some(root), ..) => Ok(Source::Root(root.clone())),
            (_, Some(repo), _) => Ok(Source::Repo(repo.clone())),
            (.., remote) => Ok(Source::Remote {
                url: absolute(remote.as_deref().unwrap_or_default(), context),
                cache: self.cache(context)?,
            }),
        }
    }

    fn cache(&self, context: &Context) -> Result<PathBuf> {
        if let Some(cache) = &self.cache {
            return Ok(context.directory.join(cache));
        }
        let variable = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = context.environment.home.home.as_ref();
        let cache = variable.filter(|path| path.is_absolute());
        let cache = cache.or_else(|| home.map(|home| home.join(".cache")));
        cache
            .map(|cache| cache.join("git-latch"))
            .ok_or_else(|| Error::BadUsage {
                problem: "there is no home directory for the cache".into(),
                hint: Some("name one: --cache DIR".into()),
            })
    }

    /// Who is let in: the users of a file, or whoever reaches this machine's own address, as the one who starts it.
    fn authenticator(&self, context: &Context) -> Result<Authenticator> {
        if let Some(users) = &self.users {
            if !context.directory.join(users).exists() {
                return Err(Error::BadUsage {
                    problem: format!("there is no users file `{}`", users.display()),
                    hint: Some(format!(
                        "git latch user add NAME --role admin --users {}",
                        users.display()
                    )),
                });
            }
            let header = self.proxy_header.as_deref().map(|name| {
                name.parse().map_err(|_| Error::BadUsage {
                    problem: format!("invalid header name `{name}`"),
                    hint: Some("use a name such as X-Forwarded-User".into()),
                })
            });
            return Authenticator::guarded(
                users.clone(),
                self.trust_proxy.clone(),
                header.transpose()?,
            );
        }
        let config = Config::read(&Git::new(&context.directory, false))?;
        let owner = identity::owner(&context.environment, &config, None)?;
        Ok(Authenticator::open(Caller::admin(owner.id, owner.name)))
    }
}

/// A path on this machine is not looked for from where our own repository lies.
fn absolute(url: &str, context: &Context) -> String {
    let path = context.directory.join(url);
    if path.exists() {
        path.to_string_lossy().into_owned()
    } else {
        url.to_owned()
    }
}

/// The address below which `/objects` is.
fn upstream(url: &str) -> Result<String> {
    let is_http = url.starts_with("https://") || url.starts_with("http://");
    if !is_http {
        return Err(Error::BadUsage {
            problem: format!("invalid URL `{url}` for Git LFS clients"),
            hint: Some("use a URL such as https://git.example.com/{repo}.git/info/lfs".into()),
        });
    }
    Ok(url.to_owned())
}
