//! JSON read without losing anything that matters to money: members in order, duplicate keys kept, every
//! value as its text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Refusal, excerpt};

/// The members of one JSON object as they stand in the text.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object.
    pub(super) fn parse(text: &'a str) -> Result<Self, Refusal> {
        serde_json::from_str(text).map_err(|error| {
            Refusal::malformed(format!(
                "not a whole JSON object: {}",
                excerpt::message_excerpt(&error.to_string())
            ))
        })
    }

    /// The value of `key` as its JSON text, or `None` where it is absent or null.
    ///
    /// # Errors
    /// A key that is given twice: which of the two is meant cannot be known.
    pub(super) fn get(&self, key: &str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value.get());
        let value = values.next();
        if values.next().is_some() {
            return Err(Refusal::malformed(format!("`{key}` is given more than once")));
        }
        Ok(value.filter(|text| *text != "null"))
    }

    /// True if the object has the key, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// Every member in the order of the text, the value as its JSON text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.get()))
    }

    /// True if the object is `{}`.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// The text of a string, or the literal text of any other value.
pub(super) fn scalar_text(value: &str) -> Cow<'_, str> {
    if !is_string(value) {
        return Cow::Borrowed(value);
    }
    match serde_json::from_str::<Key<'_>>(value) {
        Ok(Key(text)) => text,
        Err(_) => Cow::Borrowed(value),
    }
}

/// True if a JSON text is a string.
pub(super) fn is_string(value: &str) -> bool {
    value.starts_with('"')
}

/// True if a JSON text is an object.
pub(super) fn is_object(value: &str) -> bool {
    value.starts_with('{')
}

/// Puts quotes around the bare words `NaN` and `Infinity`, which some writers of JSON emit although the
/// grammar has no such numbers: the entry is then refused by itself, and not the whole document with it.
pub(super) fn quote_non_finite(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(word) = WORDS.into_iter().find(|word| rest.starts_with(word)) {
            quoted.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        let length = if next == '"' { string_length(rest) } else { next.len_utf8() };
        let (taken, left) = rest.split_at(length);
        quoted.push_str(taken);
        rest = left;
    }
    Cow::Owned(quoted)
}

/// The length in bytes of the string with which `text` begins, both quotes included; all of `text` where
/// the string does not end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
