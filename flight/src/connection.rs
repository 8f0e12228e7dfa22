//! The connections of a server: a bounded number, and none that never comes in.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Calls at once, before one was authenticated: each may take the memory of a message.
const STRANGERS_CALLS_MAX: usize = 8;
/// Of all connections, the part that one address may have before they come in.
const STRANGERS_PART: usize = 4;
/// At least so many, however few connections there may be: a client may open several at once.
const STRANGERS_MIN: usize = 16;

/// A connection as the calls on it see it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Who is at its other end.
    pub(crate) peer: Option<SocketAddr>,
    is_admitted: Arc<AtomicBool>,
    strangers_calls: Arc<Semaphore>,
}

/// The place of a call on a connection that has not come in; it is free once the call is over.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    _place: Arc<OwnedSemaphorePermit>,
}

impl Default for Connection {
    fn default() -> Self {
        Self::of_peer(None)
    }
}

impl Connection {
    fn of_peer(peer: Option<SocketAddr>) -> Self {
        let strangers_calls = Arc::new(Semaphore::new(STRANGERS_CALLS_MAX));
        Self { peer, is_admitted: Arc::default(), strangers_calls }
    }

    /// Takes a place for a call whose sender is not known yet; none is needed once the connection was admitted.
    pub(crate) fn enter(&self) -> Result<Option<Place>, ()> {
        if self.is_admitted() {
            return Ok(None);
        }
        let place = Arc::clone(&self.strangers_calls).try_acquire_owned().map_err(|_| ())?;
        Ok(Some(Place { _place: Arc::new(place) }))
    }

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
    /// Until it is admitted.
    stranger: Option<Stranger>,
    _place: OwnedSemaphorePermit,
}

/// The connections of each address that have not come in.
#[derive(Clone, Debug)]
struct Strangers {
    at_once_max: usize,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of them.
#[derive(Debug)]
struct Stranger {
    strangers: Strangers,
    address: IpAddr,
}

impl Strangers {
    fn enter(&self, address: IpAddr) -> Option<Stranger> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= self.at_once_max {
            return None;
        }
        *count += 1;
        Some(Stranger { strangers: self.clone(), address })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut by_address = self.strangers.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl Connected for Bytes {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

/// Accepts connections for ever. One address may have only a part of them before they come in, so that a single
/// stranger does not keep everybody out.
pub(crate) fn accept(
    listener: TcpListener,
    connections_max: usize,
    admission_time: Duration,
) -> impl Stream<Item = io::Result<Bytes>> {
    let places = Arc::new(Semaphore::new(connections_max));
    let at_once_max = (connections_max / STRANGERS_PART).max(STRANGERS_MIN);
    let strangers = Strangers { at_once_max, by_address: Arc::default() };
    futures::stream::unfold((listener, places, strangers), move |(listener, places, strangers)| async move {
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
            let Some(stranger) = strangers.enter(peer.ip()) else {
                tracing::warn!(%peer, at_once_max, "a connection is closed: too many of its address have not come in");
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "the connection is already gone");
                continue;
            }
            let bytes = Bytes {
                stream,
                connection: Connection::of_peer(Some(peer)),
                deadline: Some(Box::pin(tokio::time::sleep(admission_time))),
                stranger: Some(stranger),
                _place: place,
            };
            return Some((Ok(bytes), (listener, places, strangers)));
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
            (self.deadline, self.stranger) = (None, None);
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
