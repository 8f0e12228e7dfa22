//! Any URL as a provider: a template with placeholders, and the declared shape of what it answers.

use jiff::civil::Date;

use super::resource::check_url;
use super::{Asking, Header, InvalidBaseUrl, KEY_MARK, Profile, Provider, Resource, never_closed};
use crate::question::{Question, Wanted};

/// What a template may hold.
const PLACEHOLDERS: [&str; 8] = ["date", "year", "month", "day", "from", "until", "base", "key"];

/// Parameters that bear keys elsewhere: a value in a template would be in everybody's process list.
const KEY_WORDS: [&str; 7] = ["key", "app_id", "appid", "token", "secret", "password", "signature"];

/// A URL template and the shape of its answers.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    header: Option<Header>,
    profile: Profile,
}

/// Why a template is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTemplate {
    /// A placeholder that means nothing.
    #[error("unknown placeholder `{{{name}}}`, expected {}", listed())]
    Placeholder {
        /// What was found.
        name: String,
    },
    /// A brace without its other.
    #[error("a brace without its other, expected placeholders such as `{{date}}`")]
    Brace,
    /// A key written out.
    #[error(
        "the parameter `{0}` bears a value of its own, expected `{{key}}` and the key in a variable or a file"
    )]
    KeyWrittenOut(String),
    /// The template cannot ask what is wanted.
    #[error("the template cannot ask for {wanted}: expected {expected}")]
    Unfit {
        /// What is wanted.
        wanted: &'static str,
        /// What the template should hold, or not hold.
        expected: &'static str,
    },
    /// A base currency is given and has no place, or has a place and is not given.
    #[error("`{{base}}` in the template and `--base` belong together")]
    Base,
    /// A shape that is not known.
    #[error("unknown shape `{found}`, expected one of {}", allowed.join(", "))]
    Shape {
        /// What was found.
        found: String,
        /// The shapes.
        allowed: &'static [&'static str],
    },
    /// The name of the key's header is none.
    #[error("`{0}` is no name of a header")]
    Header(String),
    /// The URL itself.
    #[error("the template is not usable")]
    Url(#[source] InvalidBaseUrl),
}

fn listed() -> String {
    PLACEHOLDERS.map(|name| format!("`{{{name}}}`")).join(", ")
}

impl Template {
    /// Reads a template such as `https://rates.example/{date}?base={base}&key={key}`, whose answers have
    /// `shape`; `key_header` names a header that bears the key instead.
    ///
    /// # Errors
    /// [`InvalidTemplate`].
    pub fn parse(text: &str, shape: &str, key_header: Option<&str>) -> Result<Self, InvalidTemplate> {
        let allowed = cambist_udfs::rate::adapter::SHAPES;
        let Some(position) = allowed.iter().position(|name| *name == shape) else {
            return Err(InvalidTemplate::Shape { found: shape.to_owned(), allowed });
        };
        let header = key_header.map(parse_header).transpose()?;
        check_braces(text)?;
        refuse_written_key(text)?;
        let has_key = header.is_some() || text.contains(KEY_MARK);
        check_url(&without_braces(text), has_key).map_err(InvalidTemplate::Url)?;
        let profile = Profile {
            name: "url",
            base_url: "",
            shapes: &allowed[position..=position],
            key_variable: None,
            series_days_max: text.contains("{from}").then_some(366),
            answers_with_files: false,
            skips_days: matches!(shape, "ecb" | "frankfurter"),
            is_closed: never_closed,
            key_errors: &[],
            limit_errors: &[],
        };
        Ok(Self { text: text.to_owned(), header, profile })
    }

    /// Tells whether it wants a key.
    pub fn has_key(&self) -> bool {
        self.header.is_some() || self.text.contains(KEY_MARK)
    }

    /// Checks that it can ask for what is wanted.
    ///
    /// # Errors
    /// [`InvalidTemplate::Unfit`] or [`InvalidTemplate::Base`].
    pub fn check(&self, wanted: Wanted, base: Option<&str>) -> Result<(), InvalidTemplate> {
        let has = |names: &[&str]| names.iter().any(|name| self.text.contains(&format!("{{{name}}}")));
        let has_day = has(&["date"]) || ["year", "month", "day"].into_iter().all(|part| has(&[part]));
        let unfit = |wanted, expected| Err(InvalidTemplate::Unfit { wanted, expected });
        match wanted {
            Wanted::Latest if has(&["date", "year", "month", "day", "from", "until"]) => {
                unfit("the latest rates", "a URL without a date")
            }
            Wanted::Range { in_series: true, .. } if !(has(&["from"]) && has(&["until"])) => {
                unfit("a series", "`{from}` and `{until}` in it")
            }
            Wanted::Day(_) | Wanted::Range { in_series: false, .. } if !has_day => {
                unfit("a day", "`{date}` in it, or `{year}`, `{month}` and `{day}`")
            }
            _ if has(&["base"]) != base.is_some() => Err(InvalidTemplate::Base),
            _ => Ok(()),
        }
    }
}

impl Provider for Template {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn resource(&self, question: &Question, asking: &Asking<'_>) -> Resource {
        let (date, span) = match *question {
            Question::Latest => (None, None),
            Question::Day(day) => (Some(day), Some((day, day))),
            Question::Span(first, last) => (None, Some((first, last))),
        };
        let mut url = self.text.replace("{base}", asking.base.unwrap_or_default());
        if let Some((first, last)) = span {
            url = url.replace("{from}", &first.to_string()).replace("{until}", &last.to_string());
        }
        if let Some(day) = date {
            url = with_day(&url, day);
        }
        let file_name = date.map_or_else(|| "answer".to_owned(), |day| format!("{day}.json"));
        Resource { url, header: self.header.clone(), file_name }
    }
}

fn with_day(url: &str, day: Date) -> String {
    url.replace("{date}", &day.to_string())
        .replace("{year}", &format!("{:04}", day.year()))
        .replace("{month}", &format!("{:02}", day.month()))
        .replace("{day}", &format!("{:02}", day.day()))
}

fn parse_header(name: &str) -> Result<Header, InvalidTemplate> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(InvalidTemplate::Header(name.to_owned()));
    }
    Ok(Header { name: name.to_ascii_lowercase(), prefix: "" })
}

fn check_braces(text: &str) -> Result<(), InvalidTemplate> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, left) = after.split_once('}').ok_or(InvalidTemplate::Brace)?;
        if before.contains('}') {
            return Err(InvalidTemplate::Brace);
        }
        if !PLACEHOLDERS.contains(&name) {
            return Err(InvalidTemplate::Placeholder { name: name.to_owned() });
        }
        rest = left;
    }
    if rest.contains('}') { Err(InvalidTemplate::Brace) } else { Ok(()) }
}

fn refuse_written_key(text: &str) -> Result<(), InvalidTemplate> {
    let Some((_, query)) = text.split_once('?') else { return Ok(()) };
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let lower = name.to_ascii_lowercase();
        if !value.is_empty() && value != KEY_MARK && KEY_WORDS.iter().any(|word| lower.contains(word)) {
            return Err(InvalidTemplate::KeyWrittenOut(name.to_owned()));
        }
    }
    Ok(())
}

/// The template with something harmless for each placeholder, so that it can be read as a URL.
fn without_braces(text: &str) -> String {
    text.replace(['{', '}'], "")
}
