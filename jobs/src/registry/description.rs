//! What a job says of itself: its name, its options, and how SQL calls them.

use std::borrow::Cow;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::arguments::short_name;

/// The part of a key that stands for a name of the caller's choice: `tables.NAME.url`.
const ANY_NAME: &str = ".NAME";

/// What values an option takes, for a caller that knows nothing else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OptionType {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number with or without decimals.
    Number,
    /// A number whose every digit counts; as JSON it is a text.
    Decimal,
    /// True or false.
    Boolean,
    /// A day, written `2024-05-01`.
    Date,
    /// A point of time, written `2024-05-01T06:00:00Z`.
    Instant,
    /// A list of texts.
    List,
    /// Values by name.
    Map,
    /// Where something lies: a local path or an `s3://` URL.
    Place,
    /// A list of places.
    Places,
}

/// One option of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionDescription {
    /// Its key in a spec file, such as `source.url`.
    pub key: Cow<'static, str>,
    /// What values it takes.
    pub option_type: OptionType,
    /// Its type and unit, with what is allowed.
    pub kind: Cow<'static, str>,
    /// What holds where it is not given.
    pub default: Cow<'static, str>,
    /// What it does, in a sentence.
    pub doc: Cow<'static, str>,
}

impl OptionDescription {
    /// Describes an option.
    pub const fn new(
        key: &'static str,
        option_type: OptionType,
        kind: &'static str,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            key: Cow::Borrowed(key),
            option_type,
            kind: Cow::Borrowed(kind),
            default: Cow::Borrowed(default),
            doc: Cow::Borrowed(doc),
        }
    }

    /// Returns the path of what SQL sets by one argument: `source.url`; `tables` for `tables.NAME.url`.
    pub fn path(&self) -> &str {
        self.key.split_once(ANY_NAME).map_or(&self.key, |(path, _)| path)
    }

    /// Returns the name of its argument in SQL: `source_url` for `source.url`.
    pub fn argument(&self) -> String {
        self.path().replace('.', "_")
    }

    /// Returns the shorter name that its argument has beside, where it has one: `source` for `source.url`.
    pub fn short_argument(&self) -> Option<&'static str> {
        short_name(self.path())
    }

    /// Returns what values its argument takes: where the key leaves a name open, values by name.
    pub fn argument_type(&self) -> OptionType {
        if self.key.contains(ANY_NAME) { OptionType::Map } else { self.option_type }
    }

    /// Returns the names of its argument, the shorter one first.
    pub fn argument_names(&self) -> Vec<String> {
        let short = self.short_argument().map(str::to_owned);
        short.into_iter().chain([self.argument()]).collect()
    }
}

impl Serialize for OptionDescription {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("OptionDescription", 6)?;
        members.serialize_field("key", &self.key)?;
        members.serialize_field("kind", &self.kind)?;
        members.serialize_field("default", &self.default)?;
        members.serialize_field("doc", &self.doc)?;
        members.serialize_field("type", &self.option_type)?;
        members.serialize_field("arguments", &self.argument_names())?;
        members.end()
    }
}

/// A registered job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobDescription {
    /// The name it is called by.
    pub name: String,
    /// What it does, in a sentence without its full stop.
    pub summary: String,
    /// Its options, in the order of its spec file.
    pub options: Vec<OptionDescription>,
}

impl JobDescription {
    /// Describes a job.
    pub fn new(name: impl Into<String>, summary: impl Into<String>, options: Vec<OptionDescription>) -> Self {
        Self { name: name.into(), summary: summary.into(), options }
    }

    /// Returns the option that SQL sets by this argument, under its long or its short name.
    pub fn option_of_argument(&self, argument: &str) -> Option<&OptionDescription> {
        self.options.iter().find(|option| {
            option.argument() == argument || option.short_argument().is_some_and(|short| short == argument)
        })
    }

    /// Returns the names of all arguments, each under its shorter name where it has one.
    pub fn arguments(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for option in &self.options {
            let name = option.short_argument().map_or_else(|| option.argument(), str::to_owned);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
