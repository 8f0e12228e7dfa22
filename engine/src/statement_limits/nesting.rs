//! How often the parser could begin anew, told by a statement's tokens before it is parsed.
//!
//! An expression that a keyword begins, such as `CAST(` or `CASE`, is read once more, as a function or a name, where
//! it cannot be read. Within another one that happens twice, within three of them eight times: a short text with
//! an error at its innermost place would keep the parser busy for hours.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::BeyondLimit;

/// Expressions that keywords begin, one within the other.
const NESTED_MAX: usize = 16;

/// Refuses a statement with too many expressions of keywords within each other.
///
/// # Errors
/// With the limit.
pub(super) fn check(tokens: &[Token]) -> Result<(), BeyondLimit> {
    // For each parenthesis that is open, the expressions that were open before it.
    let mut outer: Vec<usize> = Vec::new();
    let (mut open, mut is_begun) = (0, false);
    for token in tokens {
        match token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket | Token::LBrace => {
                outer.push(open);
                open += usize::from(is_begun);
            }
            Token::RParen | Token::RBracket | Token::RBrace => open = outer.pop().unwrap_or_default(),
            Token::Word(word) if word.keyword == Keyword::CASE => open += 1,
            Token::Word(word) if word.keyword == Keyword::END => {
                let least = outer.last().copied().unwrap_or_default();
                open = open.saturating_sub(1).max(least);
            }
            _ => {}
        }
        if open > NESTED_MAX {
            return Err(BeyondLimit {
                message: format!(
                    "the statement has more than {NESTED_MAX} CASE, CAST and the like within each other, expected fewer"
                ),
                hint: "name inner results by `WITH name AS (SELECT …)`",
            });
        }
        is_begun = matches!(token, Token::Word(word) if begins_expression(word.keyword));
    }
    Ok(())
}

/// Tells whether an expression may begin with the keyword and a parenthesis, rather than a part of a statement or an
/// operand of it.
const fn begins_expression(keyword: Keyword) -> bool {
    !matches!(
        keyword,
        Keyword::NoKeyword
            | Keyword::ALL
            | Keyword::AND
            | Keyword::AS
            | Keyword::BY
            | Keyword::ELSE
            | Keyword::EXISTS
            | Keyword::FROM
            | Keyword::HAVING
            | Keyword::IN
            | Keyword::JOIN
            | Keyword::NOT
            | Keyword::ON
            | Keyword::OR
            | Keyword::SELECT
            | Keyword::THEN
            | Keyword::UNION
            | Keyword::WHEN
            | Keyword::WHERE
    )
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn checked(sql: &str) -> Result<(), BeyondLimit> {
        check(&Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap())
    }

    #[test]
    fn what_the_parser_would_begin_anew_is_bounded() {
        for one in [
            "CAST(",
            "TRY_CAST(",
            "ARRAY[",
            "POSITION(",
            "CEIL(",
            "FLOOR(",
            "SUBSTRING(",
            "CONVERT(",
            "OVERLAY(",
            "CASE WHEN true THEN ",
            "CASE ",
            "CASE WHEN CAST(",
        ] {
            let refused = checked(&format!("SELECT {}1 1", one.repeat(17))).unwrap_err();
            assert!(refused.message.contains("more than 16 CASE, CAST and the like"), "{one}: {refused}");
            checked(&format!("SELECT {}1 1", one.repeat(8))).unwrap();
        }
    }

    #[test]
    fn what_ends_does_not_count() {
        checked(&format!("SELECT {} 1", "CASE WHEN a IN (1, 2) THEN CAST(b AS INT) END, ".repeat(1000)))
            .unwrap();
        checked(&format!("SELECT 1 WHERE {}true{}", "a AND (b OR (".repeat(40), "))".repeat(40))).unwrap();
        checked(&format!("{}SELECT 1{}", "SELECT * FROM (".repeat(40), ")".repeat(40))).unwrap();
    }
}
