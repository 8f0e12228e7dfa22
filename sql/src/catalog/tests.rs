//! Declarations and what opening does.
