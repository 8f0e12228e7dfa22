//! The prompt: statement after statement, with history and completion.

use std::path::PathBuf;

use cambist_jobs::error::{ErrorKind, JobError, Result};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::print::Printing;
use super::source::Source;
use crate::{environment, output};

const PROMPT: &str = "cambist> ";

/// Statements that are kept for the next time.
const HISTORY_MAX: usize = 1000;

const HELP: &str = "\
A statement ends with `;` and may take several lines.
  \\d     the tables
  \\?     this help
  \\q     leave (also Ctrl-D)
Ctrl-C stops the statement at work.";

/// Words of statements, for completion.
const WORDS: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CALL",
    "CASE",
    "CAST",
    "COUNT",
    "CREATE",
    "CROSS",
    "DATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXTERNAL",
    "FALSE",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCATION",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RESET",
    "RIGHT",
    "SELECT",
    "SET",
    "SHOW",
    "STORED",
    "TABLE",
    "TABLES",
    "THEN",
    "TIMESTAMP",
    "TRUE",
    "UNION",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

type Prompt = Editor<Words, FileHistory>;

/// Reads statements and prints their answers until the user leaves.
pub(super) async fn run(source: &mut Source, printing: &Printing) -> Result<()> {
    let history = history_file();
    let mut prompt = open(&history)?;
    output::note("Type \\? for help, \\q to leave.");
    loop {
        if let Some(words) = prompt.helper_mut() {
            words.tables = source.table_names().await;
        }
        let (returned, line) = tokio::task::spawn_blocking(move || {
            let line = prompt.readline(PROMPT);
            (prompt, line)
        })
        .await
        .map_err(|error| failed("the prompt has failed", error))?;
        prompt = returned;
        match line {
            Ok(line) => {
                let line = line.trim();
                if line.is_empty() {
                    continue;
                }
                // Only what is read again next time is lost where this fails.
                let _ = prompt.add_history_entry(line);
                if !obey(source, printing, line).await {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed("the prompt cannot be read", error)),
        }
    }
    if let Some(path) = history
        && let Err(error) = prompt.save_history(&path)
    {
        tracing::warn!(%error, path = %path.display(), "the history is not kept");
    }
    Ok(())
}

/// Does what a line says; tells whether there is a next one.
async fn obey(source: &mut Source, printing: &Printing, line: &str) -> bool {
    let statement = match line {
        "\\q" | "exit" | "quit" | "exit;" | "quit;" => return false,
        "\\?" => {
            output::note(HELP);
            return true;
        }
        "\\d" => "SHOW TABLES",
        statement => statement.trim_end_matches(';'),
    };
    let ended = tokio::select! {
        ended = printing.answer(source, statement) => ended,
        _ = tokio::signal::ctrl_c() => Err(JobError::new(ErrorKind::Infrastructure, "stopped")),
    };
    if let Err(error) = ended {
        output::report_error(&error);
    }
    true
}

fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> JobError {
    JobError::new(ErrorKind::Infrastructure, what).caused_by(error)
}

/// Without a home there is no history.
fn history_file() -> Option<PathBuf> {
    let folder = environment::state_folder("sql", "HOME").ok()?;
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

fn open(history: &Option<PathBuf>) -> Result<Prompt> {
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)
        .map_err(|error| failed("the prompt cannot be opened", error))?
        .auto_add_history(false)
        .build();
    let mut prompt =
        Editor::with_config(config).map_err(|error| failed("the prompt cannot be opened", error))?;
    prompt.set_helper(Some(Words { tables: Vec::new(), functions: function_names() }));
    if let Some(path) = history
        && path.exists()
        && let Err(error) = prompt.load_history(path)
    {
        tracing::warn!(%error, path = %path.display(), "the history is not read");
    }
    Ok(prompt)
}

fn function_names() -> Vec<String> {
    let functions = cambist_jobs::registry::functions().into_iter();
    let names = functions.filter_map(|(signature, _)| Some(signature.split('(').next()?.to_owned()));
    names.collect()
}

/// What can be completed.
struct Words {
    tables: Vec<String>,
    functions: Vec<String>,
}

impl Words {
    fn completions(&self, beginning: &str) -> Vec<String> {
        let lower = beginning.to_lowercase();
        let begins = |word: &&str| !lower.is_empty() && word.to_lowercase().starts_with(&lower);
        let names = self.tables.iter().chain(&self.functions).map(String::as_str);
        names.chain(WORDS.iter().copied()).filter(begins).map(str::to_owned).collect()
    }
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..position).unwrap_or(line);
        let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
        let start = before
            .rfind(|letter| !is_of_word(letter))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let words = self.completions(&before[start..]).into_iter();
        Ok((start, words.map(|word| Pair { display: word.clone(), replacement: word }).collect()))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_whole(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Helper for Words {}

/// Tells whether a text is to be obeyed, or goes on on the next line.
fn is_whole(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.starts_with('\\') || text.ends_with(';') || matches!(text, "exit" | "quit")
}

#[cfg(test)]
mod tests {
    use rustyline::history::History;

    use super::*;

    fn words() -> Words {
        Words {
            tables: vec!["sales".to_owned(), "system.runs".to_owned()],
            functions: vec!["fx_convert".to_owned()],
        }
    }

    #[test]
    fn tables_functions_and_words_are_completed() {
        let history = FileHistory::new();
        let complete = |line: &str| {
            let (start, pairs) = words().complete(line, line.len(), &Context::new(&history)).unwrap();
            (start, pairs.into_iter().map(|pair| pair.replacement).collect::<Vec<_>>())
        };
        assert_eq!(history.len(), 0);
        assert_eq!(complete("select fx_"), (7, vec!["fx_convert".to_owned()]));
        assert_eq!(complete("FROM sys"), (5, vec!["system.runs".to_owned()]));
        assert_eq!(complete("SELECT sum(sa"), (11, vec!["sales".to_owned()]));
        assert_eq!(complete("der"), (0, Vec::new()));
        assert_eq!(complete("descr"), (0, vec!["DESCRIBE".to_owned()]));
        assert_eq!(complete("SELECT "), (7, Vec::new()));
    }

    #[test]
    fn a_statement_ends_with_a_semicolon() {
        for text in ["", "  ", "SELECT 1;", "SELECT\n1 ;\n", "\\q", "exit"] {
            assert!(is_whole(text), "{text:?}");
        }
        for text in ["SELECT 1", "SELECT 1; SELECT 2"] {
            assert!(!is_whole(text), "{text:?}");
        }
    }
}
