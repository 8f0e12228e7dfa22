//! Reads the values of one object by the place of their text; nothing is converted here.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::kind::ValueKind;

/// Keys of a record beyond this many are looked up afresh each time.
const REMEMBERED_KEYS_MAX: usize = 1024;

/// Where a value is in the text of its record.
pub(super) type Span = (usize, usize);

/// The keys of interest, each with its slot. Records of one file mostly have the same keys in the same
/// order, so a key is first compared with the one that stood in its place in the last record.
#[derive(Debug)]
pub(super) struct Keys {
    slots: HashMap<String, usize>,
    last_record: Vec<(String, Option<usize>)>,
}

impl Keys {
    /// Gives each of `names` the slot of its index.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let slots = names.enumerate().map(|(slot, name)| (name.to_owned(), slot)).collect();
        Self { slots, last_record: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the slot of `name`, which is given one where it has none.
    pub(super) fn slot(&mut self, name: &str) -> usize {
        let next = self.slots.len();
        *self.slots.entry(name.to_owned()).or_insert(next)
    }

    #[inline]
    fn find(&mut self, key: &str, index: usize) -> Option<usize> {
        if let Some((remembered, slot)) = self.last_record.get(index)
            && remembered == key
        {
            return *slot;
        }
        let slot = self.slots.get(key).copied();
        if let Some(remembered) = self.last_record.get_mut(index) {
            *remembered = (key.to_owned(), slot);
        } else if index == self.last_record.len() && index < REMEMBERED_KEYS_MAX {
            self.last_record.push((key.to_owned(), slot));
        }
        slot
    }
}

/// Finds the values of an object, which must be all there is in `text` but for white space.
pub(super) fn read_object(
    text: &str,
    keys: &mut Keys,
    spans: &mut [Option<Span>],
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_any(ObjectVisitor { text, keys, spans })?;
    deserializer.end()
}

fn span(text: &str, value: &RawValue) -> Span {
    // The value is a part of the text; its address tells which.
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    (start, start + value.get().len())
}

struct ObjectVisitor<'a> {
    text: &'a str,
    keys: &'a mut Keys,
    spans: &'a mut [Option<Span>],
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(slot) = map.next_key_seed(KeySeed { keys: self.keys, index })? {
            index += 1;
            match slot {
                Some(slot) => {
                    let value: &RawValue = map.next_value()?;
                    if let Some(place) = self.spans.get_mut(slot) {
                        *place = Some(span(self.text, value));
                    }
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct KeySeed<'a> {
    keys: &'a mut Keys,
    index: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.keys.find(key, self.index))
    }
}

/// Follows `path` into the value at `root`; none where it leads nowhere.
pub(super) fn find(text: &str, root: Span, path: &[String]) -> Result<Option<Span>, serde_json::Error> {
    let mut place = root;
    for segment in path {
        let value = text.get(place.0..place.1).unwrap_or_default();
        let mut deserializer = serde_json::Deserializer::from_str(value);
        let found = match value.as_bytes().first() {
            Some(b'{' | b'[') => deserializer.deserialize_any(StepVisitor { segment })?,
            _ => None,
        };
        let Some(found) = found else { return Ok(None) };
        place = span(text, found);
    }
    Ok(Some(place))
}

/// Finds the value of one key or index. The rest is read too, since the last of equal keys counts.
struct StepVisitor<'a> {
    segment: &'a str,
}

impl<'de> Visitor<'de> for StepVisitor<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_wanted) = map.next_key_seed(IsKey(self.segment))? {
            let value: &RawValue = map.next_value()?;
            if is_wanted {
                found = Some(value);
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let wanted: Option<usize> = self.segment.parse().ok();
        let mut found = None;
        let mut index = 0;
        while let Some(value) = values.next_element::<&RawValue>()? {
            if wanted == Some(index) {
                found = Some(value);
            }
            index += 1;
        }
        Ok(found)
    }
}

struct IsKey<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Returns the keys of an object in their order, each with what its value is; none where `text` is no
/// object.
pub(crate) fn value_kinds(text: &str) -> Option<Vec<(String, ValueKind)>> {
    struct KindsVisitor;

    impl<'de> Visitor<'de> for KindsVisitor {
        type Value = Vec<(String, ValueKind)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut kinds = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                kinds.push((key, ValueKind::of(value.get())));
            }
            Ok(kinds)
        }
    }

    serde_json::Deserializer::from_str(text).deserialize_any(KindsVisitor).ok()
}
