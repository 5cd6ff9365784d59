//! The file of users: how it is read and written.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::{User, Users, check_ids};
use crate::os::files;
use crate::rules::error::{Error, Result};

/// The largest file, in bytes: some thousand users.
const LARGEST: u64 = 1 << 20;

/// What stands at the file's top.
const HEADER: &str = "# The users of git-latch's server. `git latch user` writes this file and keeps no comments.\n\n";

/// The file as it is read, with the place of each user.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    users: BTreeMap<Spanned<String>, User>,
}

impl Users {
    /// Reads a file of users.
    ///
    /// # Errors
    /// [`Error::Io`] where there is none, [`Error::BadUsers`] with the line.
    pub fn read(file: &Path) -> Result<Self> {
        let absent = || Error::io("read", file)(std::io::ErrorKind::NotFound.into());
        Self::read_any(file)?.ok_or_else(absent)
    }

    /// Reads a file of users; where there is none, there are none yet.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadUsers`] with the line.
    pub fn read_or_new(file: &Path) -> Result<Self> {
        Ok(Self::read_any(file)?.unwrap_or_default())
    }

    fn read_any(file: &Path) -> Result<Option<Self>> {
        let bytes = files::read_small(file, LARGEST)?;
        bytes.map(|bytes| parse(file, &bytes)).transpose()
    }

    /// Replaces a file of users, readable by its owner only.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; the file is as it was then.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = self.to_toml();
        if text.len() as u64 > LARGEST {
            let problem = format!(
                "the users of {} would be over {LARGEST} bytes",
                file.display()
            );
            return Err(Error::BadUsage {
                problem,
                hint: None,
            });
        }
        // Where a link leads, so that the link stays.
        let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let directory = directory_of(&path);
        let mut staged = tempfile::Builder::new()
            .prefix(".users-")
            .suffix(".tmp")
            .tempfile_in(&directory)
            .map_err(Error::io("create a file in", &directory))?;
        crate::os::permissions::keep_owner(&path, staged.as_file())
            .and_then(|()| staged.write_all(text.as_bytes()))
            .and_then(|()| staged.as_file().sync_all())
            .map_err(Error::io("write to", staged.path()))?;
        staged
            .persist(&path)
            .map_err(|e| Error::io("write", &path)(e.error))?;
        files::sync_directory(&directory)
    }

    fn to_toml(&self) -> String {
        let users = toml::to_string(self).expect("names are strings, and so is what they have");
        format!("{HEADER}{users}")
    }
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Users> {
    let bad = |at: usize, problem: String| Error::BadUsers {
        file: file.to_owned(),
        line: line_of(bytes, at),
        problem,
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|e| bad(e.valid_up_to(), "it is not UTF-8 from here on".into()))?;
    let written: Written = toml::from_str(text).map_err(|e| {
        let words: Vec<&str> = e.message().split_whitespace().collect();
        bad(e.span().map_or(0, |span| span.start), words.join(" "))
    })?;
    let mut places = BTreeMap::new();
    let mut users = BTreeMap::new();
    for (name, user) in written.users {
        let place = name.span().start;
        user.check(name.get_ref()).map_err(|e| bad(place, e))?;
        places.insert(name.get_ref().clone(), place);
        users.insert(name.into_inner(), user);
    }
    check_ids(&users)
        .map_err(|(name, e)| bad(places.get(&name).copied().unwrap_or_default(), e))?;
    Ok(Users { users })
}

/// The line, from 1, of a byte.
fn line_of(bytes: &[u8], at: usize) -> usize {
    let before = &bytes[..at.min(bytes.len())];
    before.iter().filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::{Access, PasswordHash, Role, Token};
    use super::*;

    fn problem(text: &str) -> String {
        parse(Path::new("users.toml"), text.as_bytes())
            .unwrap_err()
            .to_string()
    }

    fn two() -> Users {
        let mut users = Users::default();
        let created = DateTime::parse_from_rfc3339("2026-11-21T00:00:00Z").unwrap();
        let ada = User {
            id: Some("ada@example.com".into()),
            name: Some("Ada \"A\"".into()),
            role: Some(Role::Editor),
            password: Some(PasswordHash::of("correct horse").unwrap()),
            repos: [
                ("team/game".into(), Access::As(Role::Admin)),
                ("team/secret".into(), Access::None),
            ]
            .into(),
            tokens: [("ci".into(), Token::issue(created.into()).1)].into(),
        };
        users.put("ada", ada).unwrap();
        users.put("bob@example.com", User::default()).unwrap();
        users
    }

    #[test]
    fn users_are_read_as_they_were_written() {
        let users = two();
        let text = users.to_toml();
        assert_eq!(parse(Path::new("x"), text.as_bytes()).unwrap(), users);
        assert!(
            text.contains("\n[users.ada.repos]\n\"team/game\" = \"admin\"\n"),
            "{text}"
        );
        assert!(
            text.contains("\ncreated = 2026-11-21T00:00:00Z\n"),
            "{text}"
        );
        assert!(text.contains("\n[users.\"bob@example.com\"]\n"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_replaced_through_a_link_and_nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("users.toml"), home.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(Users::read(&link).unwrap(), Users::default());
        two().write(&link).unwrap();
        assert_eq!(Users::read(&file).unwrap().iter().count(), 2);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
    }

    #[test]
    fn no_file_is_no_users_to_a_change_only() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("users.toml");
        assert!(matches!(Users::read(&file), Err(Error::Io { .. })));
        assert_eq!(Users::read_or_new(&file).unwrap(), Users::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, told) in [
            (
                "[users.ada]\n\nrole = \"boss\"\n",
                "users.toml:3: unknown variant `boss`",
            ),
            (
                "[users.ada]\nrol = \"admin\"\n",
                "users.toml:2: unknown field `rol`",
            ),
            ("[user.ada]\n", "users.toml:1: unknown field `user`"),
            ("[users.ada]\n[users.ada]\n", "users.toml:2: duplicate key"),
            (
                "[users.ada.repos]\n\"a\" = \"no\"\n",
                "users.toml:2: unknown role `no`",
            ),
            (
                "\n[users.\"a:b\"]\n",
                "users.toml:2: `a:b` cannot be a user's name",
            ),
            (
                "\n[users.ada]\nid = \"\"\n",
                "users.toml:2: the id of `ada` is empty",
            ),
            (
                "[users.ada]\npassword = \"secret\"\n",
                "users.toml:1: the password of `ada` is not an argon2id",
            ),
            (
                "[users.ada.repos]\n\"a.git\" = \"none\"\n",
                "users.toml:1: invalid repository name `a.git`",
            ),
            (
                "[users.ada.tokens.ci]\nsha256 = \"AB\"\ncreated = 2026-11-21T00:00:00Z\n",
                "users.toml:1: the token `ci` of `ada` has no SHA-256",
            ),
            (
                "[users.ada.tokens.ci]\nsha256 = \"AB\"\ncreated = 2026-11-21\n",
                "users.toml:3: `2026-11-21` is not a time",
            ),
            (
                "[users.bob]\nid = \"x\"\n[users.ada]\nid = \"x/y\"\n",
                "users.toml:1: the users `ada` (id `x/y`) and `bob` (id `x`)",
            ),
        ] {
            let problem = problem(text);
            assert!(problem.starts_with(told), "{problem}");
        }
        let error = parse(Path::new("u"), b"[users.ada]\nname = \"\xff\"\n").unwrap_err();
        assert_eq!(error.to_string(), "u:2: it is not UTF-8 from here on");
    }
}
