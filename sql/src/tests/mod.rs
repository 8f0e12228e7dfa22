//! The service as its users see it.
