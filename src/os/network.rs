//! What a server asks of the system.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Has the system notice a dead peer: one that says nothing for `silent` is asked, and what it does not acknowledge within
/// `unanswered` ends the connection.
///
/// # Errors
/// What the system says.
pub(crate) fn notice_dead_peer(
    socket: &SockRef<'_>,
    silent: Duration,
    unanswered: Duration,
) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(silent)
        .with_interval(Duration::from_secs(10));
    #[cfg(unix)]
    let keepalive = keepalive.with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(unanswered))?;
    #[cfg(not(target_os = "linux"))]
    let _ = unanswered;
    Ok(())
}

/// Lets this process have as many files open as it may.
pub(crate) fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of open files stays");
        }
    }
}
