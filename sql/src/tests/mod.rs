//! The service as its users see it.

mod bench;
mod call;
mod limits;
mod parameters;
mod rates;
mod reading;
mod roles;
mod system;
