//! Connections: accepted up to a limit, over TLS where a certificate is given, with time limits for whoever is slow, and
//! ended in good order.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tower::ServiceExt as _;

use super::app::App;
use crate::os::network::notice_dead_peer;
use crate::rules::error::{Error, Result};

/// How long a client may take to send the head of a request, or to shake hands.
const HEAD: Duration = Duration::from_secs(10);
/// The most bytes of a request's head that are kept.
const HEAD_BYTES: usize = 32 * 1024;
/// The most header lines of a request.
const HEAD_LINES: usize = 100;
/// How long requests may go on after the server was told to end.
const LAST_REQUESTS: Duration = Duration::from_secs(5);
/// How long a peer may leave what was sent to it without an answer; and how soon a silent one is asked for a sign.
const UNANSWERED: Duration = Duration::from_secs(30);
const SILENT: Duration = Duration::from_secs(20);

/// What connections need.
pub(super) struct Listen {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) at_most: usize,
    pub(super) router: Router,
    pub(super) app: Arc<App>,
}

/// Reads a certificate and its key.
pub(super) fn tls(cert: &Path, key: &Path) -> Result<TlsAcceptor> {
    let bad = |what: &'static str, path: &Path, problem: String| Error::BadUsage {
        problem: format!(
            "the {what} in `{}` cannot be used: {problem}",
            path.display()
        ),
        hint: Some("expected PEM files: --tls-cert with the whole chain, --tls-key".into()),
    };
    let certs: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let certs = certs.map_err(|e| bad("certificate", cert, e.to_string()))?;
    if certs.is_empty() {
        return Err(bad("certificate", cert, "it contains none".into()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| bad("key", key, e.to_string()))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| bad("certificate", cert, e.to_string()))?;
    let mut config = config
        .with_no_client_auth()
        .with_single_cert(certs, secret)
        .map_err(|e| {
            let is_anothers = matches!(&e, tokio_rustls::rustls::Error::InconsistentKeys(_));
            let problem = if is_anothers {
                format!("`{}` is not its key", key.display())
            } else {
                e.to_string()
            };
            bad("certificate", cert, problem)
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Listen {
    /// Serves until `ending` turns true, and then what is under way.
    pub(super) async fn serve(self, mut ending: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.at_most));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = ending.wait_for(|is_ending| *is_ending) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                self.app.metrics.turned_away.inc();
                continue;
            };
            if let Err(error) = prepare(&stream) {
                tracing::debug!(%error, "a connection is not prepared");
            }
            let (tls, router, app) = (self.tls.clone(), self.router.clone(), self.app.clone());
            let watcher = graceful.watcher();
            tokio::spawn(async move {
                app.metrics.connections.inc();
                let plain = Builder::new(TokioExecutor::new()).http1_only();
                match tls {
                    None => talk(stream, plain, peer, router, watcher).await,
                    Some(tls) => {
                        let shaken = tokio::time::timeout(HEAD, tls.accept(stream)).await;
                        if let Ok(Ok(stream)) = shaken {
                            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            let second = || Builder::new(TokioExecutor::new()).http2_only();
                            let builder = if is_h2 { second() } else { plain };
                            talk(stream, builder, peer, router, watcher).await;
                        }
                    }
                }
                app.metrics.connections.dec();
                drop(place);
            });
        }
        drop(self.listener);
        if tokio::time::timeout(LAST_REQUESTS, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::info!("connections that did not end are cut");
        }
    }
}

/// One connection, to its end.
///
/// Which protocol it speaks is settled: to find that out from what it sends would wait without an end for who sends
/// nothing.
async fn talk<S>(
    stream: S,
    mut builder: Builder<TokioExecutor>,
    peer: SocketAddr,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEAD_LINES)
        .max_buf_size(HEAD_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(SILENT))
        .keep_alive_timeout(UNANSWERED);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}

/// Has the system notice within a minute that a peer is dead.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    notice_dead_peer(&SockRef::from(stream), SILENT, UNANSWERED)
}

/// Out of file descriptors, say: there is nothing to do but wait for some to come back.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        return;
    }
    tracing::warn!(%error, "connections cannot be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
