//! How deep the tree of a statement can be, told by its tokens before there is a tree.
//!
//! The parser bounds what is written within parentheses, not what is written in a row: `1 + 1 + 1 + …` is a tree
//! as deep as it is long, which is copied and dropped by recursion.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::BeyondLimit;

/// Operators and keywords in a row, those within parentheses on top.
const DEPTH_MAX: usize = 1000;

/// Tables, joins and parts of a UNION: each is one level of the plan.
const RELATIONS_MAX: usize = 500;

/// The words of a name such as `catalog.schema.table.column`; more are accesses to members, one in the other.
const NAME_WORDS: usize = 4;

/// What lies between two commas, at one level of parentheses.
#[derive(Default)]
struct Level {
    /// Operators and keywords since the last comma.
    operators: usize,
    /// The depth of the deepest parentheses since the last comma.
    inner: usize,
    /// The greatest depth before the last comma.
    before: usize,
    /// The periods of the name that is being read.
    periods: usize,
    /// Whether commas separate tables.
    is_from: bool,
}

impl Level {
    fn depth(&self) -> usize {
        self.before.max(self.operators + self.inner)
    }

    fn comma(&mut self) {
        *self = Self { before: self.depth(), is_from: self.is_from, ..Self::default() };
    }
}

/// Refuses a statement whose tree could be deeper than a stack.
///
/// # Errors
/// With the limit that it exceeds.
pub(super) fn check(tokens: &[Token]) -> Result<(), BeyondLimit> {
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    let mut relations = 0;
    for token in tokens {
        match token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::Period => {
                level.periods += 1;
                level.operators += usize::from(level.periods >= NAME_WORDS);
                continue;
            }
            Token::LParen | Token::LBracket | Token::LBrace => {
                level.operators += 1;
                outer.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let inner = level.depth();
                level = outer.pop().unwrap_or_default();
                level.inner = level.inner.max(inner);
                // `a[1].b.c` goes on.
                continue;
            }
            Token::Comma => {
                relations += usize::from(level.is_from);
                level.comma();
            }
            Token::Word(word) => {
                if word.keyword == Keyword::NoKeyword {
                    continue;
                }
                level.operators += 1;
                match word.keyword {
                    Keyword::FROM => (relations, level.is_from) = (relations + 1, true),
                    Keyword::JOIN
                    | Keyword::UNION
                    | Keyword::EXCEPT
                    | Keyword::INTERSECT
                    | Keyword::APPLY => {
                        relations += 1;
                    }
                    Keyword::SELECT
                    | Keyword::WHERE
                    | Keyword::GROUP
                    | Keyword::HAVING
                    | Keyword::ORDER
                    | Keyword::LIMIT => level.is_from = false,
                    _ => {}
                }
            }
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::Placeholder(_) => {}
            _ => level.operators += 1,
        }
        level.periods = 0;
        if outer.len() > DEPTH_MAX || level.operators > DEPTH_MAX {
            return Err(too_deep());
        }
    }
    while let Some(mut enclosing) = outer.pop() {
        enclosing.inner = enclosing.inner.max(level.depth());
        level = enclosing;
    }
    if level.depth() > DEPTH_MAX {
        return Err(too_deep());
    }
    if relations > RELATIONS_MAX {
        return Err(BeyondLimit {
            message: format!(
                "the statement names {relations} tables, joins and parts of a UNION, expected at most {RELATIONS_MAX}"
            ),
            hint: "declare one table of many files: a folder, or a pattern such as `*.csv`",
        });
    }
    Ok(())
}

fn too_deep() -> BeyondLimit {
    BeyondLimit {
        message: format!(
            "the statement has more than {DEPTH_MAX} operators and keywords in a row, expected fewer"
        ),
        hint: "write `x IN (1, 2, …)` for `x = 1 OR x = 2 OR …`",
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn checked(sql: &str) -> Result<(), BeyondLimit> {
        check(&Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap())
    }

    fn refusal(sql: &str) -> String {
        checked(sql).unwrap_err().message
    }

    #[test]
    fn what_is_written_in_a_row_is_bounded() {
        for one in [
            "+1",
            " OR a = 1",
            " IS NULL",
            "::int",
            "[1]",
            ".a",
            " || 'x'",
            " COLLATE c",
            " AT TIME ZONE 'UTC'",
        ] {
            let sql = format!("SELECT a{} FROM t", one.repeat(2000));
            assert!(refusal(&sql).contains("more than 1000 operators and keywords in a row"), "{one}");
            checked(&format!("SELECT a{} FROM t", one.repeat(100))).unwrap();
        }
        assert!(refusal(&"EXPLAIN ".repeat(2000)).contains("in a row"));
    }

    #[test]
    fn what_is_written_in_parentheses_counts_on_top() {
        let chain = "+1".repeat(400);
        checked(&format!("SELECT (1{chain}){chain}, (1{chain}){chain}")).unwrap();
        assert!(refusal(&format!("SELECT ((1{chain}){chain}){chain}")).contains("in a row"));
        assert!(refusal(&"(".repeat(2000)).contains("in a row"));
    }

    #[test]
    fn tables_are_counted_however_they_are_joined() {
        for one in [" UNION ALL SELECT 1, 2", ", t", ", t JOIN u USING (a)"] {
            let sql = format!("SELECT 1, 2 FROM t{}", one.repeat(501));
            assert!(refusal(&sql).contains("expected at most 500"), "{one}");
        }
    }

    #[test]
    fn long_lists_are_no_depth() {
        let list = "1, ".repeat(100_000);
        checked(&format!("SELECT a FROM s.t WHERE a IN ({list}1)")).unwrap();
        checked(&format!("SELECT {} 1 FROM t", "t.a + 1 AS b, ".repeat(10_000))).unwrap();
        checked(&format!("VALUES {} (1)", "(1, 'a', NULL), ".repeat(10_000))).unwrap();
    }
}
