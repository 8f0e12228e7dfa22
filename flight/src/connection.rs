//! The connections of a server: a bounded number, and none that never comes in.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::Extensions;
use tonic::transport::server::{Connected, TlsConnectInfo};

/// After a failure to accept, such as too many open files, others may close theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection as the calls on it see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    /// Who is at its other end.
    pub(crate) peer: Option<SocketAddr>,
    is_admitted: Arc<AtomicBool>,
}

impl Connection {
    /// Returns the connection that a call came on.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let over_tls = extensions.get::<TlsConnectInfo<Self>>().map(TlsConnectInfo::get_ref);
        over_tls.or_else(|| extensions.get()).cloned().unwrap_or_default()
    }

    /// Says that a call on it was authenticated: it may stay.
    pub(crate) fn admit(&self) {
        self.is_admitted.store(true, Ordering::Relaxed);
    }

    fn is_admitted(&self) -> bool {
        self.is_admitted.load(Ordering::Relaxed)
    }
}

/// The bytes of a connection. Its place is free once it is dropped.
#[derive(Debug)]
pub(crate) struct Bytes {
    stream: TcpStream,
    connection: Connection,
    /// Until when it must be admitted.
    deadline: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Bytes {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

/// Accepts connections for ever.
pub(crate) fn accept(
    listener: TcpListener,
    connections_max: usize,
    admission_time: Duration,
) -> impl Stream<Item = io::Result<Bytes>> {
    let places = Arc::new(Semaphore::new(connections_max));
    futures::stream::unfold((listener, places), move |(listener, places)| async move {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(%peer, connections_max, "a connection is closed: there are too many");
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "the connection is already gone");
                continue;
            }
            let bytes = Bytes {
                stream,
                connection: Connection { peer: Some(peer), is_admitted: Arc::default() },
                deadline: Some(Box::pin(tokio::time::sleep(admission_time))),
                _place: place,
            };
            return Some((Ok(bytes), (listener, places)));
        }
    })
}

impl AsyncRead for Bytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.deadline.is_some() && self.connection.is_admitted() {
            self.deadline = None;
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nobody has come in")));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
