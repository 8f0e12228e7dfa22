//! Options of a session that a protocol sets by itself, as `SET` does in a statement.

use super::SqlService;
use crate::error::{Result, SqlError};
use crate::options::SessionOption;
use crate::session::Session;

/// Changes in one step: there are fewer options than these.
const CHANGES_MAX: usize = 32;
/// What the audit log keeps of a name or value.
const NOTED_CHARS: usize = 64;

/// An option that was not set.
#[derive(Clone, Debug)]
pub struct RefusedOption {
    /// The name as it was given.
    pub name: String,
    /// Whether there is such an option.
    pub is_known: bool,
    /// Why it was not set.
    pub error: SqlError,
}

impl SqlService {
    /// Sets options of a session by their names: all of them, or none where one is refused. One without a value is
    /// unset. Returns those that were refused. It is noted as a `SET` is.
    ///
    /// # Errors
    /// Where the session does not last, there are too many changes, or a limit of the user is reached.
    pub fn set_options(
        &self,
        session: &Session,
        changes: &[(String, Option<String>)],
    ) -> Result<Vec<RefusedOption>> {
        let inner = &self.inner;
        let principal = session.principal();
        let limits = inner.settings.limits_of(principal.role);
        let running = inner.queries.begin(principal, "set", told(changes), limits)?;
        let refused = self.set_options_unnoted(session, changes);
        let outcome = match &refused {
            Ok(refused) => refused.first().map_or(Ok(()), |refused| Err(refused.error.clone())),
            Err(error) => Err(error.clone()),
        };
        running.end(&outcome);
        refused
    }

    fn set_options_unnoted(
        &self,
        session: &Session,
        changes: &[(String, Option<String>)],
    ) -> Result<Vec<RefusedOption>> {
        if !session.is_lasting() {
            let error = SqlError::invalid("options cannot be set: this connection has no session that lasts");
            return Err(error.with_hint(
                "log in with user and password, or keep the server's cookies, or give the options with each request",
            ));
        }
        if changes.len() > CHANGES_MAX {
            let found = changes.len();
            return Err(SqlError::invalid(format!(
                "{found} options are given, expected at most {CHANGES_MAX}"
            )));
        }
        let mut refused = Vec::new();
        // In one step, so that what is set beside it is neither lost nor judged by other options.
        session.change_options(|options| {
            let mut changed = options.clone();
            let mut names_rates = None;
            for (name, value) in changes {
                let refusal = match SessionOption::named(name) {
                    Err(error) => Some((false, error)),
                    Ok(option) => {
                        if option == SessionOption::Rates && value.is_some() {
                            names_rates = Some(name);
                        }
                        option.write(&mut changed, value.clone()).err().map(|error| (true, error))
                    }
                };
                let named = |(is_known, error)| RefusedOption { name: name.clone(), is_known, error };
                refused.extend(refusal.map(named));
            }
            if refused.is_empty()
                && let Some(name) = names_rates
                && let Err(error) = self.inner.shelf.choose(&changed)
            {
                refused.push(RefusedOption { name: name.clone(), is_known: true, error });
            }
            if refused.is_empty() {
                *options = changed;
            }
        });
        Ok(refused)
    }
}

/// The changes as statements.
fn told(changes: &[(String, Option<String>)]) -> String {
    let short = |text: &str| text.chars().take(NOTED_CHARS).collect::<String>();
    let statement = |(name, value): &(String, Option<String>)| match value {
        Some(value) => format!("SET {} = '{}'", short(name), short(value).replace('\'', "''")),
        None => format!("RESET {}", short(name)),
    };
    changes.iter().take(CHANGES_MAX).map(statement).collect::<Vec<_>>().join("; ")
}
