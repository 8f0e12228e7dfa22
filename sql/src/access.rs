//! Who may do what.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::prepared::StatementKind;

/// What a user may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads the tables that are declared.
    Reader,
    /// Also runs jobs and cancels them.
    Operator,
    /// Also declares and removes tables.
    Admin,
}

impl Role {
    /// Tells whether the role may execute statements of this kind.
    pub fn may(self, statement: StatementKind) -> bool {
        self >= statement.needs()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

/// Who sends statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user's name.
    pub name: Arc<str>,
    /// What the user may do.
    pub role: Role,
}

impl Principal {
    /// Makes a principal.
    pub fn new(name: impl Into<Arc<str>>, role: Role) -> Self {
        Self { name: name.into(), role }
    }
}
