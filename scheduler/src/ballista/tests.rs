//! The cluster with real executors.
