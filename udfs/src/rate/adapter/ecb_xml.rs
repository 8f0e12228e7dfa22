//! The XML files of the European Central Bank: daily, 90 days and history, units per euro.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::Refusal;
use super::dating::stated_date;
use super::excerpt::message_excerpt;
use super::intake::Intake;
use super::rate_list::RateList;
use crate::currency::CurrencyCode;
use crate::rate::snapshot::RateDate;
use crate::reason::SnapshotReason;

/// The provider's name in snapshots.
pub(super) const ECB_PROVIDER: &str = "ecb";
/// What the name of the bank's vocabulary ends with: `http://www.ecb.int/vocabulary/2002-08-01/eurofxref`.
const VOCABULARY_END: &str = "/eurofxref";
/// The files have at most two attributes per element; checking for doubles costs the square of their number.
const ATTRIBUTE_COUNT_MAX: usize = 16;

/// The base of every file of the bank.
pub(super) fn euro() -> Result<CurrencyCode, Refusal> {
    CurrencyCode::parse("EUR")
        .ok_or_else(|| Refusal::new(SnapshotReason::SnapshotBaseInvalid, "`EUR` is no currency code"))
}

/// Reads an envelope, one snapshot per day in it.
pub(super) fn read_envelope(intake: &mut Intake<'_>, text: &str) -> Result<(), Refusal> {
    let mut reader = Reader::from_str(text);
    let mut envelope = Envelope::default();
    loop {
        match reader.read_event().map_err(|error| not_whole(&error.to_string()))? {
            Event::Start(element) => envelope.enter(intake, &element)?,
            Event::Empty(element) => {
                envelope.enter(intake, &element)?;
                envelope.leave(intake);
            }
            Event::End(_) => envelope.leave(intake),
            Event::Eof => break,
            _ => {}
        }
    }
    if !envelope.closed {
        return Err(not_whole("the envelope does not end"));
    }
    if envelope.day_count == 1 {
        intake.compare_with_name(envelope.last_date);
    }
    Ok(())
}

/// Where in the envelope the reading stands.
#[derive(Default)]
struct Envelope {
    depth: usize,
    closed: bool,
    /// The open day, and the depth of its element.
    day: Option<(usize, RateList)>,
    day_count: usize,
    last_date: Option<RateDate>,
}

impl Envelope {
    fn enter(&mut self, intake: &mut Intake<'_>, element: &BytesStart<'_>) -> Result<(), Refusal> {
        if self.closed {
            return Err(not_whole("another element follows the envelope"));
        }
        self.depth += 1;
        if self.depth == 1 {
            return check_root(element);
        }
        if element.local_name().as_ref() != b"Cube" {
            return Ok(());
        }
        let cube = Cube::read(element)?;
        if let Some(time) = cube.time {
            return self.open_day(&time);
        }
        let Some(code) = cube.currency else {
            return Ok(());
        };
        let Some((_, list)) = &mut self.day else {
            return Err(Refusal::malformed(format!(
                "the rate of `{}` belongs to no day",
                message_excerpt(&code)
            )));
        };
        list.add(intake, &code, cube.rate.as_deref().unwrap_or_default())?;
        Ok(())
    }

    fn open_day(&mut self, time: &str) -> Result<(), Refusal> {
        if self.day.is_some() {
            return Err(Refusal::malformed("a day stands inside another day"));
        }
        let rate_date = stated_date(time)?;
        self.day = Some((self.depth, RateList::new(euro()?, rate_date)));
        self.day_count += 1;
        self.last_date = Some(rate_date);
        Ok(())
    }

    fn leave(&mut self, intake: &mut Intake<'_>) {
        if let Some((_, list)) = self.day.take_if(|(depth, _)| *depth == self.depth) {
            intake.publish(ECB_PROVIDER, list, None);
        }
        self.depth = self.depth.saturating_sub(1);
        self.closed = self.depth == 0;
    }
}

/// The attributes of a `Cube` element.
#[derive(Default)]
struct Cube {
    time: Option<String>,
    currency: Option<String>,
    rate: Option<String>,
}

impl Cube {
    fn read(element: &BytesStart<'_>) -> Result<Self, Refusal> {
        let mut cube = Self::default();
        for attribute in element.attributes().take(ATTRIBUTE_COUNT_MAX) {
            let attribute = attribute.map_err(|error| not_whole(&error.to_string()))?;
            let value = Some(String::from_utf8_lossy(&attribute.value).into_owned());
            match attribute.key.as_ref() {
                b"time" => cube.time = value,
                b"currency" => cube.currency = value,
                b"rate" => cube.rate = value,
                _ => {}
            }
        }
        Ok(cube)
    }
}

/// Only this vocabulary says that the figures are units per euro.
fn check_root(element: &BytesStart<'_>) -> Result<(), Refusal> {
    let has_vocabulary = element
        .attributes()
        .take(ATTRIBUTE_COUNT_MAX)
        .flatten()
        .any(|attribute| attribute.value.ends_with(VOCABULARY_END.as_bytes()));
    if element.local_name().as_ref() == b"Envelope" && has_vocabulary {
        return Ok(());
    }
    let name = String::from_utf8_lossy(element.name().into_inner()).into_owned();
    Err(Refusal::malformed(format!(
        "the document is `<{}>`; expected the `<gesmes:Envelope>` of the European Central Bank \
         with the vocabulary `…{VOCABULARY_END}`",
        message_excerpt(&name)
    )))
}

fn not_whole(problem: &str) -> Refusal {
    Refusal::malformed(format!("not a whole XML document: {}", message_excerpt(problem)))
}
