//! Whether the process a lease is bound to still lives.
//!
//! Three answers, and *unknown* is not dead: only the same boot, the same pid namespace and the kernel's word make a
//! process dead. On systems other than Linux every answer but "unbound" is unknown, and time decides.

use std::path::Path;

use crate::rules::lock::{Liveness, Process};

/// This process, as a lease can be bound to it. Elsewhere than on Linux it proves nothing to others.
#[must_use]
pub(crate) fn current() -> Process {
    let pid = std::process::id();
    #[cfg(target_os = "linux")]
    if let Some(here) = linux::Here::look()
        && let Some((started, _)) = linux::started_and_state("self")
    {
        return Process {
            pid,
            started: here.since_boot(started),
            boot: here.boot,
            pidns: here.pidns,
        };
    }
    Process {
        pid,
        started: 0,
        boot: String::new(),
        pidns: 0,
    }
}

/// Which start of the system this is; `None` where nobody says.
pub(crate) fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// What is known of a process from here.
#[must_use]
pub(crate) fn liveness(process: Option<&Process>) -> Liveness {
    let Some(process) = process else {
        return Liveness::Unbound;
    };
    #[cfg(target_os = "linux")]
    return linux::liveness(process);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = process;
        Liveness::Unknown
    }
}

/// A process that is not our child.
pub(crate) struct Other {
    pid: u32,
    /// Its number may be another's by now.
    started: Option<String>,
}

impl Other {
    /// Ends it, if it is still the one that was seen.
    pub(crate) fn end(self) {
        if self.started.is_some() && started(self.pid) == self.started {
            crate::os::child::send(self.pid, crate::os::signals::KILL);
        }
    }
}

/// The fields of `/proc/PID/stat` behind the command's name, which may hold anything: state, parent, …
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&stat);
    let fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(fields.map(str::to_owned).collect())
}

fn started(pid: u32) -> Option<String> {
    fields(pid)?.into_iter().nth(19)
}

/// The processes below one, where the system tells. What has made itself independent, as a credential daemon or a shared
/// ssh connection does, is not among them, and goes on.
pub(crate) fn below(pid: u32) -> Vec<Other> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let all: Vec<(u32, u32, Option<String>)> = processes
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let fields = fields(pid)?;
            Some((pid, fields.get(1)?.parse().ok()?, fields.get(19).cloned()))
        })
        .collect();
    let mut below = vec![pid];
    let mut others = Vec::new();
    while let Some(parent) = below.pop() {
        for (pid, _, started) in all.iter().filter(|(_, of, _)| *of == parent) {
            below.push(*pid);
            others.push(Other {
                pid: *pid,
                started: started.clone(),
            });
        }
    }
    others
}

/// Whether a git of this machine may be at work in a repository: by its directory, its open files or its
/// arguments. One that cannot be looked at may be.
#[cfg(target_os = "linux")]
pub(crate) fn may_use(repository: &Path) -> bool {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    let own = std::process::id().to_string();
    let name = repository.as_os_str().as_bytes();
    let names_it = |text: &[u8]| text.windows(name.len()).any(|part| part == name);
    let works = |process: &Path| {
        let is_gone = |e: &std::io::Error| {
            // Of a process that ends there is nothing to read; `ESRCH` has no kind of its own.
            e.kind() == std::io::ErrorKind::NotFound || e.raw_os_error() == Some(3)
        };
        let leads_in = |link: &Path| match fs::read_link(link) {
            Ok(target) => target.starts_with(repository),
            Err(e) => !is_gone(&e),
        };
        let says = |file: &str| match fs::read(process.join(file)) {
            Ok(text) => names_it(&text),
            Err(e) => !is_gone(&e),
        };
        let has_open = || match fs::read_dir(process.join("fd")) {
            Ok(open) => open.flatten().any(|file| leads_in(&file.path())),
            Err(e) => !is_gone(&e),
        };
        leads_in(&process.join("cwd")) || says("cmdline") || has_open()
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return true;
    };
    processes.flatten().any(|process| {
        let path = process.path();
        // `/proc/self` is ours, too.
        let is_other = process
            .file_name()
            .to_str()
            .is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()) && name != own);
        let is_git = || fs::read(path.join("comm")).is_ok_and(|comm| comm.starts_with(b"git"));
        is_other && is_git() && works(&path)
    })
}

/// Nobody can tell: whoever knows removes it by hand.
#[cfg(not(target_os = "linux"))]
pub(crate) fn may_use(_repository: &Path) -> bool {
    true
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use rustix::io::Errno;
    use rustix::process::Pid;

    use super::{Liveness, Process};

    /// The boot and the pid namespace this process is in. `/proc/self` is this process in every `/proc`, also in one of
    /// another pid namespace, where its number is somebody else's.
    pub(super) struct Here {
        pub(super) boot: String,
        pub(super) pidns: u64,
        /// Ticks by which this time namespace's boot clock is ahead of the host's (`time_namespaces(7)`).
        offset: i64,
    }

    impl Here {
        pub(super) fn look() -> Option<Self> {
            let boot = super::boot()?;
            let pidns = fs::metadata("/proc/self/ns/pid").ok()?.ino();
            Some(Here {
                boot,
                pidns,
                offset: boot_clock_offset(),
            })
        }

        /// A start time as the host's boot clock counts it.
        pub(super) fn since_boot(&self, started: u64) -> u64 {
            started.saturating_add_signed(-self.offset)
        }
    }

    /// `/proc/self/timens_offsets` has a line `boottime SECONDS NANOSECONDS`; start times are shown with it added.
    fn boot_clock_offset() -> i64 {
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        let line = offsets.lines().find_map(|l| l.strip_prefix("boottime"));
        let seconds: i64 = line
            .and_then(|l| l.split_whitespace().next()?.parse().ok())
            .unwrap_or(0);
        // USER_HZ is 100 in the interface of every Linux that Rust runs on.
        seconds * 100
    }

    /// Field 22 (start time, in ticks since boot) and field 3 (state) of a process's `stat`, proc(5). The second field,
    /// the command's name, may hold anything: the fields are counted from the last parenthesis.
    pub(super) fn started_and_state(process: &str) -> Option<(u64, char)> {
        let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
        let text = String::from_utf8_lossy(&stat);
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        Some((fields.nth(18)?.parse().ok()?, state))
    }

    /// Whether `/proc` numbers processes as this pid namespace does: after `unshare --pid`, say, it is another one's.
    ///
    /// `NSpid` has this process's number in the namespace of that `/proc` and in each one below it down to its own: only
    /// where they are one and the same there is one number. That the link of `/proc/self` says our number proves less:
    /// it may have the same one in both.
    fn proc_is_ours() -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let ours = std::process::id().to_string();
        numbers.is_some_and(|numbers| numbers.split_whitespace().eq([ours.as_str()]))
    }

    pub(super) fn liveness(process: &Process) -> Liveness {
        let Some(here) = Here::look() else {
            return Liveness::Unknown;
        };
        if process.boot != here.boot || process.pidns != here.pidns {
            return Liveness::Unknown;
        }
        let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
            return Liveness::Unknown;
        };
        let seen = if proc_is_ours() {
            started_and_state(&process.pid.to_string())
        } else {
            None
        };
        match seen {
            Some((_, 'Z' | 'X')) => Liveness::Dead,
            Some((started, _)) if here.since_boot(started) == process.started => Liveness::Alive,
            Some(_) => Liveness::Dead,
            // Hidden (`hidepid`), or a foreign `/proc`: the kernel still knows whether anybody has the number.
            None => match rustix::process::test_kill_process(pid) {
                Err(Errno::SRCH) => Liveness::Dead,
                _ => Liveness::Unknown,
            },
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_number_alone_proves_nothing() {
        let me = current();
        assert_eq!(liveness(Some(&me)), Liveness::Alive);
        assert_eq!(
            liveness(Some(&Process {
                started: me.started + 1,
                ..me.clone()
            })),
            Liveness::Dead
        );
        assert_eq!(
            liveness(Some(&Process {
                pidns: me.pidns + 1,
                ..me.clone()
            })),
            Liveness::Unknown
        );
        assert_eq!(
            liveness(Some(&Process {
                boot: "another".into(),
                ..me
            })),
            Liveness::Unknown
        );
        assert_eq!(liveness(None), Liveness::Unbound);
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (started, _) = linux::started_and_state(&child.id().to_string()).unwrap();
        let process = Process {
            pid: child.id(),
            started,
            ..current()
        };
        // Not reaped: it stays a zombie, which still answers to its number.
        while linux::started_and_state(&child.id().to_string()).unwrap().1 != 'Z' {
            std::thread::yield_now();
        }
        assert_eq!(liveness(Some(&process)), Liveness::Dead);
        child.wait().unwrap();
    }
}
