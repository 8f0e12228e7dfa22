//! Ballista's scheduler with Cambist's session, and the job service on top of it.

pub mod ballista;
