//! The server over real connections, most of them over TLS, and real clients.

mod calls;
mod cancel;
mod credentials;
mod garbage;
mod intruders;
mod lab;
mod limits;
mod queries;
mod runs;
mod sessions;
mod tickets;
