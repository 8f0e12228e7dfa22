//! A statement's text without what may be secret, for logs.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::GenericDialect;
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

/// Returns the statement without the texts that follow names such as `aws.secret_access_key`, and without the
/// user part of URLs; unchanged where it has none.
pub(crate) fn redacted(sql: &str) -> Cow<'_, str> {
    let may_hold_some = is_secret_name(sql) || sql.contains("://");
    if !may_hold_some {
        return Cow::Borrowed(sql);
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return Cow::Borrowed(UNREADABLE);
    };
    let mut text = String::with_capacity(sql.len());
    let (mut follows_secret_name, mut is_changed) = (false, false);
    for token in &tokens {
        let literal = literal(token);
        if let Some(value) = literal
            && (follows_secret_name || has_user(value))
        {
            text.push_str(LEFT_OUT);
            (follows_secret_name, is_changed) = (false, true);
            continue;
        }
        match token {
            Token::Word(word) => follows_secret_name = is_secret_name(&word.value),
            Token::Comma | Token::LParen | Token::RParen | Token::SemiColon => follows_secret_name = false,
            _ => follows_secret_name |= literal.is_some_and(is_secret_name),
        }
        text.push_str(&token.to_string());
    }
    if is_changed { Cow::Owned(text) } else { Cow::Borrowed(sql) }
}

/// Returns the statement as logs keep it.
pub(crate) fn for_log(sql: &str) -> String {
    let text = redacted(sql);
    match text.char_indices().nth(KEPT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn literal(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::TripleSingleQuotedString(text)
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
        ] {
            assert_eq!(redacted(sql), expected);
        }
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_is() {
        for sql in ["SELECT  token_count\nFROM t", "SELECT 'a@b' FROM \"T\"", "LOCATION 's3://b/a@b.csv'"] {
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
