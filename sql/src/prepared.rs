//! A statement that was read, checked and planned.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ParamValues;

use crate::access::Role;
use crate::planning::Planned;
use crate::session::Session;
use crate::statement::Action;

/// A plan that is older is made anew: its tables may have changed.
const PLAN_AGE_MAX: Duration = Duration::from_secs(1);

/// What a statement does, as far as permissions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatementKind {
    /// Reads rows.
    Select,
    /// Tells how rows would be read.
    Explain,
    /// Tells of tables, columns, options.
    Show,
    /// Sets an option of the session.
    Set,
    /// Runs a job, or cancels a run.
    Call,
    /// Declares a table.
    CreateTable,
    /// Removes the declaration of a table.
    DropTable,
}

impl StatementKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Select, Self::Explain, Self::Show, Self::Set, Self::Call, Self::CreateTable, Self::DropTable];

    /// Returns the least role that may execute such a statement.
    pub const fn needs(self) -> Role {
        match self {
            Self::Select | Self::Explain | Self::Show | Self::Set => Role::Reader,
            Self::Call => Role::Operator,
            Self::CreateTable | Self::DropTable => Role::Admin,
        }
    }

    /// Returns its name, for the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Explain => "explain",
            Self::Show => "show",
            Self::Set => "set",
            Self::Call => "call",
            Self::CreateTable => "create table",
            Self::DropTable => "drop table",
        }
    }
}

/// A prepared statement. It may be executed any number of times, each time on the state of its tables at that
/// time.
pub struct Prepared {
    pub(crate) sql: Arc<str>,
    /// The text as logs keep it.
    pub(crate) logged: String,
    pub(crate) kind: StatementKind,
    pub(crate) session: Arc<Session>,
    pub(crate) action: Arc<Action>,
    pub(crate) result: SchemaRef,
    pub(crate) parameters: SchemaRef,
    /// The values that its parameters are bound to.
    pub(crate) values: Option<ParamValues>,
    /// The plan that was made to prepare it, for who executes it at once.
    pub(crate) planned: FreshPlan,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("sql", &self.sql).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Prepared {
    /// Returns the statement's text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns what it does.
    pub fn kind(&self) -> StatementKind {
        self.kind
    }

    /// Returns the session it was prepared in.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Returns the columns of its result, of types that every client can read; without columns where it
    /// returns no rows.
    pub fn result_schema(&self) -> &SchemaRef {
        &self.result
    }

    /// Returns its parameters, in their order: `$1` or `?` is called `1`, `$day` is called `day`. A type that
    /// the statement does not tell is null.
    pub fn parameter_schema(&self) -> &SchemaRef {
        &self.parameters
    }

    /// Returns the plan that was made to prepare it, once, while it is new: made for the options that the session
    /// has now, and after the last of the `changes` that this process has made.
    pub(crate) fn take_plan(&self, changes: u64) -> Option<Planned> {
        self.planned.lock().take().filter(|planned| {
            planned.made_at.elapsed() <= PLAN_AGE_MAX
                && planned.changes == changes
                && planned.options == self.session.options()
        })
    }

    /// Tells whether it returns rows.
    pub fn returns_rows(&self) -> bool {
        !self.result.fields().is_empty()
    }
}

/// A plan for who executes it at once; it holds its tables' files and its rates, so that it goes as soon as it is
/// too old to be used.
#[derive(Default)]
pub(crate) struct FreshPlan(Arc<Mutex<Option<Planned>>>);

impl FreshPlan {
    /// Keeps a plan for a moment.
    pub(crate) fn of(planned: Planned) -> Self {
        let kept = Arc::new(Mutex::new(Some(planned)));
        let of_statement = Arc::downgrade(&kept);
        tokio::spawn(async move {
            tokio::time::sleep(PLAN_AGE_MAX).await;
            if let Some(kept) = of_statement.upgrade() {
                Self(kept).lock().take();
            }
        });
        Self(kept)
    }

    #[cfg(test)]
    pub(crate) fn is_there(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Planned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No columns.
pub(crate) fn no_columns() -> SchemaRef {
    Arc::new(Schema::empty())
}
