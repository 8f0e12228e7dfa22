//! What a statement does, by its syntax alone.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Extended;
use datafusion::sql::sqlparser::ast::{ObjectType, Select, Set, Statement, Visit, Visitor};

use crate::error::{Result, SqlError};
use crate::prepared::StatementKind;

const SUPPORTED: &str =
    "SELECT, VALUES, WITH, EXPLAIN, SHOW, DESCRIBE, SET, RESET, CALL, CREATE EXTERNAL TABLE or DROP TABLE";

const WRITTEN_BY_JOBS: &str =
    "tables are written by jobs, whole or not at all: CALL normalize(source => '…', output => '…')";

/// Returns what the statement does.
pub(super) fn kind(statement: &Extended) -> Result<StatementKind> {
    match statement {
        Extended::Statement(statement) => kind_of(statement),
        Extended::CreateExternalTable(_) => Ok(StatementKind::CreateTable),
        Extended::CopyTo(_) => {
            let hint = "read the rows and write them on your side, or run a job: CALL query(…)";
            Err(unsupported("COPY").with_hint(hint))
        }
        Extended::Reset(_) => Ok(StatementKind::Set),
        Extended::Explain(explained) => {
            let Extended::Statement(inner) = explained.statement.as_ref() else {
                return Err(not_explained());
            };
            explained_kind(inner)
        }
    }
}

fn kind_of(statement: &Statement) -> Result<StatementKind> {
    match statement {
        Statement::Query(_) => {
            only_reads(statement)?;
            Ok(StatementKind::Select)
        }
        Statement::Explain { statement, .. } => explained_kind(statement),
        Statement::ExplainTable { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowVariable { .. } => Ok(StatementKind::Show),
        Statement::Set(Set::SingleAssignment { .. }) => Ok(StatementKind::Set),
        Statement::Call(_) => Ok(StatementKind::Call),
        Statement::Drop { object_type: ObjectType::Table, .. } => Ok(StatementKind::DropTable),
        other => Err(refused(other)),
    }
}

fn explained_kind(statement: &Statement) -> Result<StatementKind> {
    if !matches!(statement, Statement::Query(_)) {
        return Err(not_explained());
    }
    only_reads(statement)?;
    Ok(StatementKind::Explain)
}

fn not_explained() -> SqlError {
    SqlError::invalid("EXPLAIN of this statement is not supported, expected EXPLAIN [ANALYZE] of a SELECT")
}

/// Refuses what hides in a query and writes.
fn only_reads(query: &Statement) -> Result<()> {
    match query.visit(&mut OnlyReads { depth: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct OnlyReads {
    depth: usize,
}

impl Visitor for OnlyReads {
    type Break = Box<SqlError>;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Self::Break> {
        self.depth += 1;
        // The first is the query itself.
        if self.depth == 1 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(Box::new(refused(statement)))
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        match &select.into {
            Some(_) => ControlFlow::Break(Box::new(unsupported("SELECT INTO").with_hint(WRITTEN_BY_JOBS))),
            None => ControlFlow::Continue(()),
        }
    }
}

fn refused(statement: &Statement) -> SqlError {
    let (name, hint) = match statement {
        Statement::Insert(_) => ("INSERT", WRITTEN_BY_JOBS),
        Statement::Update(_) => ("UPDATE", WRITTEN_BY_JOBS),
        Statement::Delete(_) => ("DELETE", WRITTEN_BY_JOBS),
        Statement::Merge(_) => ("MERGE", WRITTEN_BY_JOBS),
        Statement::Truncate(_) => ("TRUNCATE", WRITTEN_BY_JOBS),
        Statement::CreateTable(_) => (
            "CREATE TABLE",
            "CREATE EXTERNAL TABLE declares what lies in a store; jobs write what is to lie there",
        ),
        Statement::CreateView(_) => ("CREATE VIEW", "write the view's query as WITH name AS (…)"),
        Statement::Prepare { .. } | Statement::Execute { .. } | Statement::Deallocate { .. } => (
            "PREPARE",
            "statements are prepared through the client: send the text with $1 or ? and bind the values",
        ),
        Statement::StartTransaction { .. } | Statement::Commit { .. } | Statement::Rollback { .. } => {
            ("a transaction", "every statement reads one state of each table, and changes none")
        }
        Statement::Set(_) => ("this form of SET", "SET cambist.rates = 'NAME' sets an option of the session"),
        Statement::Use(_) => ("USE", "name tables as SCHEMA.TABLE"),
        Statement::ShowFunctions { .. } => ("SHOW FUNCTIONS", "SELECT * FROM system.functions"),
        other => {
            let text = other.to_string();
            let name: String = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            return unsupported(&name);
        }
    };
    unsupported(name).with_hint(hint)
}

fn unsupported(name: &str) -> SqlError {
    SqlError::invalid(format!("{name} is not supported, expected {SUPPORTED}"))
}
