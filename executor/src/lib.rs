//! Ballista's executor with Cambist's session, stores and bounds.
