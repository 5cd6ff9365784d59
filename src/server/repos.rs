//! The repositories that are served: found by their names, opened when they are first asked for.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, broadcast, oneshot};

use super::frames::Frames;
use super::problem::Problem;
use crate::rules::error::{Code, Error, Result};
use crate::rules::event::Author;
use crate::rules::time::Clock;
use crate::server::engine::{Command, Publish, RepoService, Turn};

/// How many changes a reader of events may be behind.
const BEHIND: usize = 1_024;
/// How deep below the root repositories are looked for.
const DEEPEST: usize = 8;
/// How many answers are kept for equal questions.
const ANSWERS: usize = 256;
/// The largest answer that is kept.
const LARGE: usize = 64 << 10;
/// Names at the root that are not repositories.
const RESERVED: [&str; 6] = ["-", "api", "healthz", "readyz", "metrics", "favicon.ico"];

/// What is served.
#[derive(Clone, Debug)]
pub enum Source {
    /// Every bare repository below a directory.
    Root(PathBuf),
    /// One bare repository.
    Repo(PathBuf),
    /// The locks of a git remote, with a directory for our own repository of it.
    Remote {
        /// Its URL.
        url: String,
        /// Where to work.
        cache: PathBuf,
    },
}

/// A repository, and who listens to it.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) service: Arc<RepoService>,
    clock: &'static dyn Clock,
    events: broadcast::Sender<Arc<Frames>>,
    answers: Mutex<Answers>,
}

/// Answers to questions, as long as nothing changes.
#[derive(Debug, Default)]
struct Answers {
    state: u64,
    kept: HashMap<String, (chrono::DateTime<chrono::Utc>, Bytes)>,
}

impl Hosted {
    /// Listens to what happens from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<Frames>> {
        self.events.subscribe()
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.events.receiver_count()
    }

    /// Has a change made, and waits for it.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        ask: Command<T>,
    ) -> Result<(u64, T), Problem> {
        let (sender, answer) = oneshot::channel();
        let turn = self
            .service
            .submit(ask, move |result| drop(sender.send(result)));
        if turn == Turn::Mine {
            self.service.start(self.clock);
        }
        match answer.await {
            Ok(result) => result.map_err(|error| Problem::from(&*error)),
            Err(_) => Err(
                Problem::of(Code::Busy, "cannot tell whether it took effect; try again")
                    .retry_after(std::time::Duration::from_secs(1)),
            ),
        }
    }

    /// The answer to a question: an equal one's, if nothing has changed since, or what `make` makes.
    pub(crate) fn answer(&self, question: String, make: impl FnOnce() -> Bytes) -> Bytes {
        let now = self.clock.now();
        let (state, until) = self.service.state_at(now);
        let mut answers = self.answers.lock();
        if answers.state != state || answers.kept.len() >= ANSWERS {
            answers.state = state;
            answers.kept.clear();
        }
        if let Some((until, bytes)) = answers.kept.get(&question)
            && now < *until
        {
            return bytes.clone();
        }
        drop(answers);
        let bytes = make();
        // No older than that: `as_of` is part of it.
        let longest = now + chrono::TimeDelta::seconds(1);
        let until = until.map_or(longest, |until| until.min(longest));
        let mut answers = self.answers.lock();
        if answers.state == state && bytes.len() <= LARGE {
            answers.kept.insert(question, (until, bytes.clone()));
        }
        bytes
    }
}

/// All that is served.
#[derive(Debug)]
pub(crate) struct Repos {
    source: Source,
    /// The name of the only one.
    only: Option<String>,
    server: Author,
    clock: &'static dyn Clock,
    opened: Mutex<HashMap<String, Arc<OnceCell<Arc<Hosted>>>>>,
    /// Those that could not be opened when somebody asked for them last.
    broken: Mutex<BTreeSet<String>>,
}

impl Repos {
    pub(crate) fn new(source: Source, server: Author, clock: &'static dyn Clock) -> Result<Self> {
        let only = match &source {
            Source::Root(root) => {
                if !root.is_dir() {
                    return Err(Error::bad_usage(
                        format!("`{}` is not a directory", root.display()),
                        "name the directory that holds the bare repositories: --root DIR",
                    ));
                }
                None
            }
            Source::Repo(path) => {
                let path = path.canonicalize().map_err(|error| {
                    Error::bad_usage(
                        format!("there is no repository `{}`: {error}", path.display()),
                        "name a bare repository: --repo DIR",
                    )
                })?;
                Some(name_of(&path.to_string_lossy()))
            }
            Source::Remote { url, .. } => Some(name_of(url)),
        };
        Ok(Repos {
            source,
            only,
            server,
            clock,
            opened: Mutex::default(),
            broken: Mutex::default(),
        })
    }

    /// Opens what there is to open at the start.
    pub(crate) async fn open_the_only(&self) -> Result<()> {
        let Some(name) = &self.only else {
            return Ok(());
        };
        let (source, server) = (self.source.clone(), self.server.clone());
        let hosted = open(name.clone(), source, server, self.clock).await?;
        let mut opened = self.opened.lock();
        opened.insert(name.clone(), Arc::new(OnceCell::new_with(Some(hosted))));
        Ok(())
    }

    /// A repository by its name, exactly as roles go by it (so never with a `.git`); opened if it is not.
    pub(crate) async fn find(&self, name: &str) -> Result<Arc<Hosted>, Problem> {
        let absent = || {
            let shown = crate::rules::spelling::quoted(name.as_bytes());
            Problem::new(
                axum::http::StatusCode::NOT_FOUND,
                Code::NotARepository,
                format!("no repository {shown} is served here"),
            )
        };
        let cell = {
            let opened = self.opened.lock();
            opened.get(name).cloned()
        };
        if let Some(hosted) = cell.as_ref().and_then(|cell| cell.get()) {
            return Ok(hosted.clone());
        }
        self.check_root()?;
        let Some(place) = self.place(name) else {
            self.broken.lock().remove(name);
            return Err(absent());
        };
        let cell = cell.unwrap_or_else(|| {
            let mut opened = self.opened.lock();
            opened.entry(name.to_owned()).or_default().clone()
        });
        let server = self.server.clone();
        let opened = cell.get_or_try_init(|| apart(name.to_owned(), place, server, self.clock));
        let opened = opened.await;
        let mut broken = self.broken.lock();
        match opened {
            Ok(hosted) => {
                broken.remove(name);
                Ok(hosted.clone())
            }
            Err(error) => {
                tracing::error!(repo = name, %error, "a repository cannot be served");
                let problem = cannot_be_served(&error);
                broken.insert(name.to_owned());
                Err(problem)
            }
        }
    }

    /// Those that could not be opened when somebody asked for them last.
    pub(crate) fn broken(&self) -> Vec<String> {
        let broken = self.broken.lock();
        broken.clone().into_iter().collect()
    }

    /// A root that is away, as a mount may be, is an outage: none of its repositories is gone.
    fn check_root(&self) -> Result<(), Problem> {
        match &self.source {
            Source::Root(root) if !root.is_dir() => {
                let detail = "the repositories are unavailable at the moment";
                Err(Problem::of(Code::Unreachable, detail))
            }
            _ => Ok(()),
        }
    }

    /// Where a name leads; `None` where it leads nowhere, or anywhere else than below the root.
    fn place(&self, name: &str) -> Option<Source> {
        if let Some(only) = &self.only {
            return (only == name).then(|| self.source.clone());
        }
        let Source::Root(root) = &self.source else {
            return None;
        };
        if !is_name(name) {
            return None;
        }
        let root = root.canonicalize().ok()?;
        let found = [format!("{name}.git"), name.to_owned()];
        let found = found
            .iter()
            .filter_map(|name| root.join(name).canonicalize().ok());
        // Under its one name: who may do what goes by it.
        let is_called = |path: &PathBuf| {
            let below = path.strip_prefix(&root).ok().and_then(Path::to_str);
            below.is_some_and(|below| below.strip_suffix(".git").unwrap_or(below) == name)
        };
        let is_meant = |path: &PathBuf| is_called(path) && is_bare(path);
        found.into_iter().find(is_meant).map(Source::Repo)
    }

    /// Those that are open.
    pub(crate) fn open(&self) -> Vec<Arc<Hosted>> {
        let opened = self.opened.lock();
        opened
            .values()
            .filter_map(|cell| cell.get().cloned())
            .collect()
    }

    /// The names of all there are, with the number of locks of those that are open.
    pub(crate) fn names(&self) -> Vec<(String, Option<usize>)> {
        let mut names = Vec::new();
        match (&self.only, &self.source) {
            (Some(only), _) => names.push(only.clone()),
            (None, Source::Root(root)) => look_for(root, "", 0, &mut names),
            _ => {}
        }
        names.sort();
        let open = self.open();
        let count = |name: &String| {
            let found = open.iter().find(|hosted| hosted.service.name() == name);
            found.map(|hosted| hosted.service.counts().0)
        };
        names
            .into_iter()
            .map(|name| (name.clone(), count(&name)))
            .collect()
    }
}

/// Whatever it is, the client has done nothing wrong.
fn cannot_be_served(error: &Error) -> Problem {
    let away = axum::http::StatusCode::SERVICE_UNAVAILABLE;
    let detail = Problem::from(error).detail;
    match error {
        Error::BadPolicy { .. } => Problem::new(
            away,
            Code::BadPolicy,
            format!("the policy of the served branch is broken: {detail}"),
        )
        .with_hint("push a commit to that branch that fixes or removes the line"),
        _ => Problem::of(Code::Unreachable, detail).with_hint("ask its admin to repair it"),
    }
}

/// The last part of a path or URL, without `.git`.
fn name_of(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix("/.git").unwrap_or(path);
    let last = path.rsplit(['/', ':']).next().unwrap_or(path);
    let name = last.strip_suffix(".git").unwrap_or(last);
    if is_name(name) {
        name.to_owned()
    } else {
        "repository".into()
    }
}

/// Whether a name can be a repository's: plain components, none hidden, none reserved.
fn is_name(name: &str) -> bool {
    let is_plain = |part: Component<'_>| match part {
        Component::Normal(part) => part.to_str().is_some_and(|part| !part.starts_with('.')),
        _ => false,
    };
    let first = name.split('/').next().unwrap_or_default();
    name.len() <= 1024
        && !name.is_empty()
        && !name
            .split('/')
            .any(|part| part.is_empty() || part == "-" || part.strip_suffix(".git").is_some())
        && !name.chars().any(|c| c.is_control() || c == '\\')
        && !RESERVED.contains(&first)
        && Path::new(name).components().all(is_plain)
}

fn is_bare(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

fn look_for(directory: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) {
    let Ok(inside) = std::fs::read_dir(directory) else {
        return;
    };
    for found in inside.flatten() {
        let Ok(name) = found.file_name().into_string() else {
            continue;
        };
        let path = found.path();
        // No link: repositories are served under their own names only.
        if name.starts_with('.') || !found.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let full = format!("{prefix}{}", name.strip_suffix(".git").unwrap_or(&name));
        if is_bare(&path) && is_name(&full) {
            names.push(full);
        } else if depth < DEEPEST {
            look_for(&path, &format!("{prefix}{name}/"), depth + 1, names);
        }
    }
}

/// Reads a repository's locks, and begins to look after it.
async fn open(
    name: String,
    source: Source,
    server: Author,
    clock: &'static dyn Clock,
) -> Result<Arc<Hosted>> {
    let (events, _) = broadcast::channel(BEHIND);
    let shown = name.clone();
    let sender = events.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let tell: Publish = Box::new(move |told| drop(sender.send(Arc::new(Frames::of(told)))));
        match &source {
            Source::Remote { url, cache } => {
                RepoService::open_remote(&name, url, cache, server, clock, tell)
            }
            Source::Repo(path) | Source::Root(path) => {
                RepoService::open(&name, path, server, clock, tell)
            }
        }
    });
    let joined = opening.await.map_err(std::io::Error::other);
    let hosted = Arc::new(Hosted {
        service: Arc::new(joined.map_err(Error::io("open", &shown))??),
        clock,
        events,
        answers: Mutex::default(),
    });
    let tending = hosted.service.keep_tending(clock);
    tending.map_err(Error::io("start a thread for", &shown))?;
    Ok(hosted)
}

/// The same, to its end even if whoever asks for it goes away.
async fn apart(
    name: String,
    source: Source,
    server: Author,
    clock: &'static dyn Clock,
) -> Result<Arc<Hosted>> {
    let shown = name.clone();
    let joined = tokio::spawn(open(name, source, server, clock)).await;
    joined.map_err(|e| Error::io("open", &shown)(std::io::Error::other(e)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        for name in [
            "", ".", "..", "../x", "a/../b", "/etc", "a//b", "a/", ".git", "a/.b", "-", "-/x",
            "api", "a\\b", "a\0b", "metrics", "a.git/b", "a/-/b",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
        for name in ["game", "team/game", "a-b", "team/x.y", "ünï"] {
            assert!(is_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_remote_is_called_by_its_last_part() {
        assert_eq!(name_of("git@host:team/game.git"), "game");
        assert_eq!(name_of("/srv/git/game.git/"), "game");
        assert_eq!(name_of("https://host/x"), "x");
    }
}
