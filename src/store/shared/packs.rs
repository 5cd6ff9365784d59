//! The packs that a server writes into a bare repository: each change is one, so they are put together from time to time.
//!
//! The repository is the team's, and what we did not write is none of our business: a list tells which packs are ours.
//! Where git found an object in one of them that somebody pushed, it has touched the pack (as it does so that its own
//! collection of garbage spares it): such a pack stays for ever.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::git::command::Git;
use crate::git::repo::{ObjectIds, Objects, PackDirectory, Repo, Writer};
use crate::rules::error::{Error, Result};
use crate::store::LatchDir;

/// From how many packs on they are put together.
const MANY: usize = 16;
/// From how many bytes on the history is dropped.
const LARGE: u64 = 256 << 20;
/// How many lines of packs that are gone a list may have.
const MANY_GONE: usize = 200;
/// How long what nobody can reach any more stays for those who read it at the moment.
const GRACE: Duration = Duration::from_secs(300);

/// The packs of ours in one repository.
#[derive(Debug)]
pub(super) struct Packs {
    directory: PackDirectory,
    git: Git,
    list: PathBuf,
    dropped: PathBuf,
    /// The lock ref.
    reference: String,
    /// Held while a list is written.
    writing: Mutex<()>,
}

/// A pack of ours that is there and that nobody has touched.
#[derive(Clone)]
pub(super) struct Pack {
    name: String,
    bytes: u64,
    /// Its line in the list: with the time at which it was written.
    line: String,
}

impl Packs {
    pub(super) fn new(repo: &Repo, reference: &str, directory: &LatchDir, scratch: &Path) -> Self {
        let (list, dropped) = directory.packs();
        Packs {
            directory: PackDirectory::new(repo.common_dir(), scratch),
            git: repo.git_apart(),
            list,
            dropped,
            reference: reference.to_owned(),
            writing: Mutex::default(),
        }
    }

    /// Writes objects as one synced pack of ours; gives its name. Git keeps it until it is let go.
    pub(super) fn write<T>(
        &self,
        objects: &Objects,
        write: impl FnOnce(&Writer<'_>) -> Result<T>,
    ) -> Result<(T, String)> {
        let (written, name) = self.directory.write(objects, write)?;
        if let Err(error) = self.note(&self.list, std::slice::from_ref(&name)) {
            // Nothing leads to it, and nobody would ever look after it.
            self.unkeep(&name);
            self.directory.remove(&name)?;
            return Err(error);
        }
        Ok((written, name))
    }

    /// Lets git do with a pack what it does with all others.
    pub(super) fn unkeep(&self, name: &str) {
        if let Err(error) = self.directory.unkeep(name) {
            tracing::warn!(%error, "a pack is kept for ever");
        }
    }

    /// Tidies up after a server that died, where no other one is at work.
    pub(super) fn tidy_up(&self) -> Result<()> {
        self.directory.tidy_up()
    }

    /// Adds lines to a list as they are.
    fn append(&self, list: &Path, lines: &[u8]) -> Result<()> {
        let _guard = self.writing.lock();
        let file = OpenOptions::new().append(true).create(true).open(list);
        file.and_then(|mut file| file.write_all(lines))
            .map_err(Error::io("write", list))
    }

    /// Adds packs to a list. One that is not listed stays, until git's own `gc` looks after it.
    fn note(&self, list: &Path, names: &[String]) -> Result<()> {
        let mut lines = Vec::new();
        for name in names {
            let meta = fs::metadata(self.directory.file(name));
            let touched = meta.ok().as_ref().map_or(0, nanos);
            lines.extend_from_slice(format!("{name} {touched}\n").as_bytes());
        }
        self.append(list, &lines)
    }

    /// The packs of a list that are as they were written.
    fn listed(&self, list: &Path) -> Result<Vec<Pack>> {
        let text = match fs::read(list) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(Error::io("read", list))?,
        };
        let text = String::from_utf8_lossy(&text);
        let mut seen = BTreeSet::new();
        let mut packs = Vec::new();
        for line in text.lines() {
            let Some((name, written)) = line.split_once(' ') else {
                continue;
            };
            let is_ours = is_name(name) && seen.insert(name.to_owned());
            let meta = fs::metadata(self.directory.file(name)).ok();
            let Some(meta) = meta.filter(|meta| is_ours && nanos(meta).to_string() == written)
            else {
                continue;
            };
            if !self.directory.is_whole(name) {
                // Whoever removed it died over that.
                self.directory.remove(name)?;
                continue;
            }
            packs.push(Pack {
                name: name.to_owned(),
                bytes: meta.len(),
                line: line.to_owned(),
            });
        }
        if text.lines().count() > packs.len() + MANY_GONE {
            let there: BTreeSet<&str> = packs.iter().map(|pack| pack.name.as_str()).collect();
            self.relist(
                list,
                &seen
                    .iter()
                    .map(String::as_str)
                    .filter(|n| !there.contains(n))
                    .collect(),
            )?;
        }
        Ok(packs)
    }

    fn relist(&self, list: &Path, gone: &BTreeSet<&str>) -> Result<()> {
        let _guard = self.writing.lock();
        let text = fs::read(list).map_err(Error::io("read", list))?;
        let text = String::from_utf8_lossy(&text);
        let is_kept = |line: &&str| line.split(' ').next().is_some_and(|n| !gone.contains(n));
        let kept: String = text
            .lines()
            .filter(is_kept)
            .flat_map(|line| [line, "\n"])
            .collect();
        // Whole or not at all: what is not listed would never be put together.
        let written = list.with_extension(std::process::id().to_string());
        fs::write(&written, kept).map_err(Error::io("write", &written))?;
        fs::rename(&written, list).map_err(Error::io("write", list))
    }

    /// Those that are listed and as they were written.
    pub(super) fn all(&self) -> Result<Vec<Pack>> {
        self.listed(&self.list)
    }

    /// Puts the small ones of our packs together into one, if they are many; says whether packs went.
    pub(super) fn roll_up(&self, mut packs: Vec<Pack>) -> Result<bool> {
        if self.directory.is_indexed_together() {
            return Ok(false);
        }
        // What another server has just written, and nothing leads to yet.
        packs.retain(|pack| !self.directory.is_kept(&pack.name));
        packs.sort_by_key(|pack| pack.bytes);
        let mut sum = 0;
        let mut count = 0;
        for pack in &packs {
            if count >= MANY && pack.bytes > sum {
                break;
            }
            sum += pack.bytes;
            count += 1;
        }
        if count < MANY {
            return Ok(false);
        }
        let small: Vec<String> = packs.drain(..count).map(|pack| pack.name).collect();
        let input: String = small.iter().flat_map(|n| [n, ".pack\n"]).collect();
        let merged = self.pack(&["--stdin-packs"], input)?;
        self.note(&self.list, std::slice::from_ref(&merged))?;
        let small = small.iter().map(String::as_str);
        self.remove(&small.filter(|name| *name != merged).collect())?;
        Ok(true)
    }

    /// Packs what can be reached from a commit, and lets the packs of before go, if nobody touches them.
    pub(super) fn keep_only(&self, commit: &str, older: &[Pack]) -> Result<()> {
        let packed = self.pack(&["--revs"], format!("{commit}\n"))?;
        self.note(&self.list, std::slice::from_ref(&packed))?;
        let older: Vec<&Pack> = older.iter().filter(|pack| pack.name != packed).collect();
        // With the times at which they were written: who has touched one since has found something in it.
        let lines: String = older.iter().flat_map(|p| [p.line.as_str(), "\n"]).collect();
        // What waits already must not wait longer for what comes.
        let list = if self.dropped.exists() {
            self.next()
        } else {
            self.dropped.clone()
        };
        self.append(&list, lines.as_bytes())?;
        let names = older.iter().map(|pack| pack.name.as_str()).collect();
        self.relist(&self.list, &names)
    }

    /// Whether another ref of the repository leads to something in one of these packs: a copy that somebody has made of
    /// the lock ref, of a part of its history, or of a tree.
    fn are_needed(&self, packs: &[Pack]) -> Result<bool> {
        let mut inside = ObjectIds::default();
        for pack in packs {
            let listed = self.directory.objects_in(&pack.name)?;
            inside.extend(listed);
        }
        let git_dir = self.git_dir();
        let exclude = format!("--exclude={}", self.reference);
        let walk = [
            git_dir.as_str(),
            "rev-list",
            "--objects",
            "--no-object-names",
            // Where the repository is broken already, it is not made worse.
            "--missing=allow-any",
            &exclude,
            "--all",
        ];
        self.git.start(&walk)?.any_line(|line| inside.has(line))
    }

    /// Removes what was dropped a while ago, what nobody has touched since and no other ref leads to. What is needed stays
    /// for ever, as if git had written it.
    pub(super) fn prune(&self) -> Result<()> {
        let age = fs::metadata(&self.dropped).and_then(|meta| meta.modified());
        let is_old = |at: SystemTime| at.elapsed().is_ok_and(|age| age > GRACE);
        if !age.is_ok_and(is_old) || self.directory.is_indexed_together() {
            return Ok(());
        }
        let packs = self.listed(&self.dropped)?;
        if !packs.is_empty() && !self.are_needed(&packs)? {
            for pack in &packs {
                self.directory.remove(&pack.name)?;
            }
        }
        match fs::rename(self.next(), &self.dropped) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                fs::remove_file(&self.dropped).map_err(Error::io("remove", &self.dropped))
            }
            renamed => renamed.map_err(Error::io("write", &self.dropped)),
        }
    }

    /// The list of what was dropped after that.
    fn next(&self) -> PathBuf {
        self.dropped.with_extension("next")
    }

    /// Removes packs of ours that nobody has touched meanwhile.
    fn remove(&self, names: &BTreeSet<&str>) -> Result<()> {
        for pack in self.all()? {
            if names.contains(pack.name.as_str()) {
                self.directory.remove(&pack.name)?;
            }
        }
        self.relist(&self.list, names)
    }

    /// Git's option that names the repository.
    fn git_dir(&self) -> String {
        format!("--git-dir={}", self.directory.repository().display())
    }

    /// Has git write one pack; gives its name.
    fn pack(&self, how: &[&str], input: String) -> Result<String> {
        let git_dir = self.git_dir();
        let base = self.directory.scratch().join("pack");
        let base = base.to_string_lossy();
        let begin = [
            git_dir.as_str(),
            "-c",
            "pack.writeReverseIndex=false",
            "-c",
            "pack.packSizeLimit=0",
            "pack-objects",
        ];
        let options = [
            "--quiet",
            "--threads=1",
            "--window=0",
            "--delta-base-offset",
        ];
        let all = [&begin[..], &options, how, &[&base]].concat();
        let told = self.git.output_with_input(&all, input.into_bytes())?;
        let name = format!("pack-{}", String::from_utf8_lossy(&told).trim());
        self.directory.publish(&name)?;
        Ok(name)
    }
}

/// Whether there is much besides the largest one, which holds what is there now.
pub(super) fn are_large(packs: &[Pack]) -> bool {
    let sizes = packs.iter().map(|pack| pack.bytes);
    let largest = sizes.clone().max().unwrap_or_default();
    sizes.sum::<u64>() - largest > LARGE
}

/// A name that git gives a pack, and nothing that leads elsewhere.
fn is_name(name: &str) -> bool {
    let hex = name.strip_prefix("pack-").unwrap_or_default();
    hex.len() == 40 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

fn nanos(meta: &fs::Metadata) -> u128 {
    let since = meta
        .modified()
        .ok()
        .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos())
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::git::scratch::Scratch;

    /// The packs of a bare repository, and a way to write one with a commit of a file.
    fn packs(scratch: &Scratch) -> (Packs, Objects) {
        let bare = scratch.with_origin();
        let repo = Repo::discover(Path::new(&bare)).unwrap();
        let directory = LatchDir::of(repo.common_dir());
        let tmp = directory.tmp();
        fs::create_dir_all(&tmp).unwrap();
        let objects = Objects::open(repo.common_dir()).unwrap();
        (
            Packs::new(&repo, "refs/latch/locks", &directory, &tmp),
            objects,
        )
    }

    fn commit(packs: &Packs, objects: &Objects, text: &str) -> String {
        let put = [(b"a.lock".to_vec(), text.as_bytes().to_vec())];
        let written = packs.write(objects, |to| {
            let tree = to.write_tree(None, &put, &[])?;
            to.write_commit(&tree, None, text, ("", ""), Utc::now())
        });
        let (commit, name) = written.unwrap();
        packs.unkeep(&name);
        commit
    }

    fn there(packs: &Packs) -> usize {
        let directory = packs.directory.repository().join("objects/pack");
        let files = fs::read_dir(directory).unwrap().flatten();
        files
            .filter(|file| file.path().extension().is_some_and(|e| e == "pack"))
            .count()
    }

    #[test]
    fn many_packs_become_one_and_nothing_is_lost() {
        let scratch = Scratch::new();
        let (packs, objects) = packs(&scratch);
        let commits: Vec<String> = (0..MANY)
            .map(|n| commit(&packs, &objects, &n.to_string()))
            .collect();
        assert_eq!(there(&packs), MANY);
        assert!(packs.roll_up(packs.all().unwrap()).unwrap());
        assert_eq!(there(&packs), 1);
        let objects = Objects::open(packs.directory.repository()).unwrap();
        for commit in commits {
            objects.commit(&commit).unwrap();
        }
    }

    #[test]
    fn half_a_pack_and_a_strange_list_stop_nothing() {
        let scratch = Scratch::new();
        let (packs, objects) = packs(&scratch);
        for n in 0..=MANY {
            commit(&packs, &objects, &n.to_string());
        }
        // As a process leaves it that dies while it removes one.
        let half = packs.directory.file(&packs.all().unwrap()[3].name);
        fs::remove_file(half.with_extension("idx")).unwrap();
        let mut list = OpenOptions::new().append(true).open(&packs.list).unwrap();
        list.write_all(b"pack-\xff 1\n\n").unwrap();
        assert!(packs.roll_up(packs.all().unwrap()).unwrap());
        assert!(!half.exists());
        assert_eq!((there(&packs), packs.all().unwrap().len()), (1, 1));
    }

    #[test]
    fn what_a_server_that_died_has_left_is_removed() {
        let scratch = Scratch::new();
        let (packs, objects) = packs(&scratch);
        let put = [(b"a.lock".to_vec(), b"one".to_vec())];
        let written = packs.write(&objects, |to| to.write_tree(None, &put, &[]));
        let mark = packs
            .directory
            .file(&written.unwrap().1)
            .with_extension("keep");
        let foreign = mark.with_file_name("pack-of-the-admin.keep");
        fs::write(&foreign, "do not touch").unwrap();
        let half = packs.directory.scratch().join("tmp_pack_x");
        fs::write(&half, "").unwrap();
        assert!(mark.exists());
        packs.tidy_up().unwrap();
        assert_eq!(
            (mark.exists(), half.exists(), foreign.exists()),
            (false, false, true)
        );
    }

    #[test]
    fn what_was_dropped_goes_unless_git_has_touched_it() {
        let scratch = Scratch::new();
        let (packs, objects) = packs(&scratch);
        let (gone, found) = (
            commit(&packs, &objects, "one"),
            commit(&packs, &objects, "two"),
        );
        let older = packs.all().unwrap();
        let kept = commit(&packs, &objects, "three");
        packs.keep_only(&kept, &older).unwrap();
        let touched = fs::File::open(packs.directory.file(&older[1].name)).unwrap();
        touched.set_modified(SystemTime::now()).unwrap();
        packs.prune().unwrap();
        assert!(
            packs.directory.file(&older[0].name).exists(),
            "others may be reading it"
        );
        let list = fs::File::options()
            .append(true)
            .open(&packs.dropped)
            .unwrap();
        list.set_modified(SystemTime::now() - 2 * GRACE).unwrap();
        packs.prune().unwrap();
        let objects = Objects::open(packs.directory.repository()).unwrap();
        assert!(objects.commit(&gone).is_err());
        objects.commit(&found).unwrap();
        objects.commit(&kept).unwrap();
    }
}
