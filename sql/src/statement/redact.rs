//! A statement's text without what may be secret, for logs.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Names of options and columns whose values are left out hold one of these.
const SECRET_NAMES: [&str; 10] = [
    "secret",
    "password",
    "passwd",
    "token",
    "credential",
    "access_key",
    "accesskey",
    "api_key",
    "apikey",
    "private_key",
];

/// What stands for a value that is left out.
const LEFT_OUT: &str = "'***'";

/// What stands for a text that cannot be read and may hold a secret.
const UNREADABLE: &str = "(a statement that cannot be read and may hold a secret)";

/// Logs keep so many characters of a statement.
const KEPT_CHARS: usize = 4096;

/// Tells whether an option of this name may hold a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Returns the statement without the values that follow names such as `aws.secret_access_key`, without texts that
/// hold such names and more, as JSON and URLs do, and without URLs that name a user; unchanged where it has none.
pub(crate) fn redacted(sql: &str) -> Cow<'_, str> {
    let may_hold_some = is_secret_name(sql) || sql.contains("://");
    if !may_hold_some {
        return Cow::Borrowed(sql);
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return Cow::Borrowed(UNREADABLE);
    };
    let mut text = String::with_capacity(sql.len());
    let mut follows = Follows::Nothing;
    let mut is_changed = false;
    for token in &tokens {
        let literal = literal(token);
        let is_value = match follows {
            Follows::Nothing => false,
            Follows::SecretName => literal.is_some(),
            Follows::Assignment | Follows::Value => !ends_value(token),
        };
        if (is_value && !matches!(token, Token::Whitespace(_))) || literal.is_some_and(is_secret_text) {
            // A value of several tokens is left out as one.
            if follows != Follows::Value {
                text.push_str(LEFT_OUT);
            }
            follows = match follows {
                Follows::Nothing | Follows::SecretName => Follows::Nothing,
                Follows::Assignment | Follows::Value => Follows::Value,
            };
            is_changed = true;
            continue;
        }
        follows = match (token, follows) {
            (Token::Whitespace(_), before) => before,
            (Token::Eq | Token::RArrow | Token::Assignment | Token::Colon, Follows::SecretName) => {
                Follows::Assignment
            }
            (Token::Word(word), _) if is_secret_name(&word.value) => Follows::SecretName,
            (_, Follows::SecretName) if !ends_value(token) && !matches!(token, Token::Word(_)) => {
                Follows::SecretName
            }
            _ if literal.is_some_and(is_secret_name) => Follows::SecretName,
            _ => Follows::Nothing,
        };
        text.push_str(&token.to_string());
    }
    if is_changed { Cow::Owned(text) } else { Cow::Borrowed(sql) }
}

/// Returns the statement as logs keep it.
pub(crate) fn for_log(sql: &str) -> String {
    cut(redacted(sql))
}

/// Returns as much of a text as logs keep.
pub(crate) fn cut<'a>(text: impl Into<Cow<'a, str>>) -> String {
    let text = text.into();
    match text.char_indices().nth(KEPT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// What came before a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    Nothing,
    /// A name whose value is secret: a text is its value, whatever lies between.
    SecretName,
    /// Such a name and `=`: everything is its value, up to the next comma, parenthesis or clause.
    Assignment,
    /// A part of such a value.
    Value,
}

fn ends_value(token: &Token) -> bool {
    match token {
        Token::Comma | Token::LParen | Token::RParen | Token::RBrace | Token::SemiColon | Token::EOF => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND | Keyword::OR | Keyword::GROUP | Keyword::ORDER | Keyword::LIMIT | Keyword::UNION
        ),
        _ => false,
    }
}

/// Tells whether a text holds a secret itself: one with a secret name and more than a name, or a URL with a user.
fn is_secret_text(text: &str) -> bool {
    let is_name = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '-' | '.');
    has_user(text) || (is_secret_name(text) && !text.chars().all(is_name))
}

fn literal(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::TripleSingleQuotedString(text)
        | Token::TripleDoubleQuotedString(text)
        | Token::SingleQuotedByteStringLiteral(text)
        | Token::DoubleQuotedByteStringLiteral(text)
        | Token::TripleSingleQuotedByteStringLiteral(text)
        | Token::TripleDoubleQuotedByteStringLiteral(text)
        | Token::SingleQuotedRawStringLiteral(text)
        | Token::DoubleQuotedRawStringLiteral(text)
        | Token::TripleSingleQuotedRawStringLiteral(text)
        | Token::TripleDoubleQuotedRawStringLiteral(text)
        | Token::HexStringLiteral(text) => Some(text),
        Token::DollarQuotedString(text) => Some(&text.value),
        _ => None,
    }
}

/// Tells whether a text is a URL with a user or a password in it.
fn has_user(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_options_are_left_out() {
        for (sql, expected) in [
            (
                "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://b/x' OPTIONS ('aws.secret_access_key' 'abc', 'delimiter' ';')",
                "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://b/x' OPTIONS ('aws.secret_access_key' '***', 'delimiter' ';')",
            ),
            ("OPTIONS (aws.session_token 'abc')", "OPTIONS (aws.session_token '***')"),
            ("CALL j(password => 'abc', day => 'x')", "CALL j(password => '***', day => 'x')"),
            ("SELECT 1 WHERE api_key = 'abc'", "SELECT 1 WHERE api_key = '***'"),
            ("LOCATION 's3://key:word@bucket/a'", "LOCATION '***'"),
            ("CALL j(api_key => 12345678, day => 'x')", "CALL j(api_key => '***', day => 'x')"),
            ("CALL j(api_key => abc-def 5, day => 'x')", "CALL j(api_key => '***' , day => 'x')"),
            ("CALL j(api_key => -5)", "CALL j(api_key => '***')"),
            ("SELECT 1 WHERE password = b AND c = d", "SELECT 1 WHERE password = '***' AND c = d"),
            ("CALL j(token => B'101')", "CALL j(token => '***')"),
            ("CALL j(token => R'abc')", "CALL j(token => '***')"),
            (r#"CALL j(set => '{"password": "x"}', b => 2)"#, "CALL j(set => '***', b => 2)"),
            ("CALL j(url => 'https://h/?token=x')", "CALL j(url => '***')"),
            (
                "CALL j(set => MAP {'password': 'x', 'day': 'y'})",
                "CALL j(set => MAP {'password': '***', 'day': 'y'})",
            ),
        ] {
            assert_eq!(redacted(sql), expected);
        }
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_is() {
        for sql in [
            "SELECT  token_count\nFROM t LIMIT 5",
            "SELECT token_count > 5 FROM t",
            "SELECT 'a@b' FROM \"T\"",
            "LOCATION 's3://b/a@b.csv'",
        ] {
            assert!(matches!(redacted(sql), Cow::Borrowed(text) if text == sql), "{sql}");
        }
    }

    #[test]
    fn a_secret_in_a_text_that_cannot_be_read_is_left_out() {
        assert_eq!(redacted("OPTIONS ('password' 'abc"), UNREADABLE);
        assert_eq!(redacted("SELECT 'abc"), "SELECT 'abc");
    }

    #[test]
    fn long_statements_are_cut() {
        assert_eq!(for_log(&"é".repeat(5000)).chars().count(), KEPT_CHARS + 1);
    }
}
