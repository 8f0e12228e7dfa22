//! The rate book: the snapshots that a run may use, ordered and indexed. Immutable, so that all threads
//! share one.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::as_of::{AsOf, AsOfMode, PairIndex, SnapshotIndex, aged, missing, usable};
use super::presence::Presence;
use super::snapshot::{InstantMicros, RateDate, Snapshot};
use super::timeline::Timeline;
use super::versions::{BookError, admit};
use crate::currency::{Currency, CurrencyTable};
use crate::decimal::Decimal;
use crate::reason::RowReason;

/// Which snapshots a book admits and for which events they are eligible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BookOptions {
    /// By what a snapshot is eligible for an event.
    pub mode: AsOfMode,
    /// The most days that a snapshot may be older than the event; none is no limit.
    pub max_age_days: Option<u32>,
    /// Snapshots that were received later do not count.
    pub known_as_of: InstantMicros,
}

/// The exchange rates that a run may use.
///
/// ```
/// use cambist_udfs::currency::CurrencyCode;
/// use cambist_udfs::rate::{AsOfMode, BookOptions, InstantMicros, RateBook, RateDate, Snapshot, SnapshotId};
///
/// let code = |text| CurrencyCode::parse(text).ok_or("no code");
/// let snapshot = Snapshot {
///     id: SnapshotId([7; 32]),
///     provider: "ecb".to_owned(),
///     base: code("EUR")?,
///     rate_date: RateDate(20_000),
///     valid_at: None,
///     known_at: InstantMicros(0),
///     location: "eurofxref.csv".to_owned(),
///     rates: vec![(code("USD")?, "1.0842".parse()?)],
///     expires: None,
///     held: Vec::new(),
/// };
/// let options = BookOptions { mode: AsOfMode::Date, max_age_days: Some(7), known_as_of: InstantMicros(1) };
/// let book = RateBook::build(vec![snapshot], &options)?;
///
/// let currency = |text| book.currencies().parse(text).map(|parsed| parsed.currency);
/// let (euro, dollar) = (currency(b"EUR")?, currency(b"USD")?);
/// let found = book.at_date(euro, dollar, RateDate(20_002))?;
/// assert_eq!(found.age_days, 2);
/// assert_eq!(book.rate(found.snapshot, dollar), Some("1.0842".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RateBook {
    currencies: CurrencyTable,
    snapshots: Vec<Snapshot>,
    /// Of each currency of the table, the snapshots that hold it.
    presences: Vec<Presence>,
    timeline: Arc<Timeline>,
    options: BookOptions,
    digest: [u8; 32],
}

impl RateBook {
    /// Chooses the snapshots that the options admit and indexes them. The order in which they are given
    /// does not matter.
    ///
    /// The same payload received twice is one snapshot, known since the first time. Of the versions of
    /// one publication – a provider's snapshots for one day, in instant mode from one instant – the one
    /// received last counts.
    ///
    /// # Errors
    ///
    /// [`BookError::Conflict`] if two different payloads were both received last, and
    /// [`BookError::NoSnapshot`] if none is admitted.
    pub fn build(snapshots: Vec<Snapshot>, options: &BookOptions) -> Result<Self, BookError> {
        let mut snapshots = admit(snapshots, options)?;
        snapshots.iter_mut().for_each(keep_rates_sound);
        let codes = snapshots
            .iter()
            .flat_map(|snapshot| snapshot.rates.iter().map(|rate| rate.0).chain([snapshot.base]));
        let currencies = CurrencyTable::with_extra(codes);
        Ok(Self {
            presences: presences(&snapshots, &currencies),
            timeline: Arc::new(Timeline::new(&snapshots, options.mode)),
            digest: digest(&snapshots),
            options: *options,
            currencies,
            snapshots,
        })
    }

    /// Returns the known currencies: ISO 4217 and what the admitted snapshots carry.
    pub const fn currencies(&self) -> &CurrencyTable {
        &self.currencies
    }

    /// Returns the admitted snapshots in the order in which they became valid, those of one time by the
    /// name of the provider; [`SnapshotIndex`] counts them.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// Returns the options the book was built with.
    pub const fn options(&self) -> &BookOptions {
        &self.options
    }

    /// Returns a sha256 of which snapshots are admitted: provider, days, instants and ids in order.
    /// Equal for two books that answer alike, whatever was given to them besides.
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Returns the earliest day that a snapshot is for.
    pub fn first_date(&self) -> RateDate {
        // A book has at least one snapshot.
        self.snapshots.iter().map(|snapshot| snapshot.rate_date).min().unwrap_or(RateDate(i32::MAX))
    }

    /// Returns the units of a currency per one unit of the snapshot's base, as published; 1 for the base
    /// itself, nothing for a currency that the snapshot does not hold.
    pub fn rate(&self, snapshot: SnapshotIndex, currency: Currency) -> Option<Decimal> {
        let snapshot = self.snapshots.get(snapshot.index())?;
        let code = self.currencies.entries().get(currency.index())?.code;
        if code == snapshot.base {
            return Some(Decimal::ONE);
        }
        let position = snapshot.rates.binary_search_by_key(&code, |rate| rate.0).ok()?;
        snapshot.rates.get(position).map(|rate| rate.1)
    }

    /// Chooses the snapshot for an event of which only the day counts: the newest for that day or an
    /// earlier one that holds both currencies. In instant mode the event is taken to be at the first
    /// instant of the day in UTC.
    ///
    /// # Errors
    ///
    /// [`RowReason::EventBeforeHistory`] if the book begins later; [`RowReason::RateMissingSource`] if no
    /// snapshot up to then holds the source, [`RowReason::RateMissingTarget`] if none holds the target
    /// with it; [`RowReason::RateStale`] if the snapshot is beyond the age limit.
    pub fn at_date(&self, source: Currency, target: Currency, day: RateDate) -> Result<AsOf, RowReason> {
        self.newest_before(self.timeline.count_at_date(day), source, target, day)
    }

    /// Chooses the snapshot for an event at an instant that falls on `day` in the zone of the rates: the
    /// newest that holds from that instant or an earlier one and holds both currencies. In date mode only
    /// the day counts.
    ///
    /// # Errors
    ///
    /// The same as of [`at_date`](Self::at_date).
    pub fn at_instant(
        &self,
        source: Currency,
        target: Currency,
        at: InstantMicros,
        day: RateDate,
    ) -> Result<AsOf, RowReason> {
        self.newest_before(self.timeline.count_at_instant(at, day), source, target, day)
    }

    /// Returns the look-up of one pair, for many events.
    pub fn pair(&self, source: Currency, target: Currency) -> PairIndex {
        let (nothing, source, target) = (Presence::default(), self.presence(source), self.presence(target));
        PairIndex {
            timeline: Arc::clone(&self.timeline),
            common: source.unwrap_or(&nothing).common(target.unwrap_or(&nothing)),
            first_with_source: source.and_then(Presence::first),
            age_days_max: self.options.max_age_days,
        }
    }

    fn newest_before(
        &self,
        end: u32,
        source: Currency,
        target: Currency,
        day: RateDate,
    ) -> Result<AsOf, RowReason> {
        let (source, target) = (self.presence(source), self.presence(target));
        let newest = |end| source.zip(target).and_then(|(source, target)| source.newest_common(target, end));
        match usable(&self.timeline, end, day, newest)? {
            Some(position) => aged(&self.timeline, position, day, self.options.max_age_days),
            None => Err(missing(end, source.and_then(Presence::first))),
        }
    }

    fn presence(&self, currency: Currency) -> Option<&Presence> {
        self.presences.get(currency.index())
    }
}

/// Upholds what a snapshot promises of its rates, whoever made it: the look-up relies on their order and
/// the arithmetic on their sign.
fn keep_rates_sound(snapshot: &mut Snapshot) {
    let base = snapshot.base;
    snapshot.rates.retain(|(code, rate)| *code != base && rate.mantissa() > 0);
    snapshot.rates.sort_by_key(|rate| rate.0);
    snapshot.rates.dedup_by_key(|rate| rate.0);
}

fn presences(snapshots: &[Snapshot], currencies: &CurrencyTable) -> Vec<Presence> {
    let mut presences = vec![Presence::default(); currencies.entries().len()];
    for (position, snapshot) in (0_u32..).zip(snapshots) {
        for code in snapshot.rates.iter().map(|rate| rate.0).chain([snapshot.base]) {
            if let Some(currency) = currencies.find(code) {
                presences[currency.index()].insert(position);
            }
        }
    }
    presences
}

fn digest(snapshots: &[Snapshot]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for snapshot in snapshots {
        // Lengths and tags before what varies, so that no two lists give the same bytes.
        hasher.update((snapshot.provider.len() as u64).to_le_bytes());
        hasher.update(&snapshot.provider);
        hasher.update(snapshot.rate_date.0.to_le_bytes());
        hasher.update([u8::from(snapshot.valid_at.is_some())]);
        hasher.update(snapshot.valid_at.map_or(0, |at| at.0).to_le_bytes());
        hasher.update(snapshot.id.0);
        // Only where there is something to say: most books have neither, and keep their digest.
        if let Some(last) = snapshot.expires {
            hasher.update(b"expires");
            hasher.update(last.0.to_le_bytes());
        }
        if !snapshot.held.is_empty() {
            hasher.update(b"held");
            hasher.update((snapshot.held.len() as u64).to_le_bytes());
            snapshot.held.iter().for_each(|code| hasher.update(code.as_bytes()));
        }
    }
    hasher.finalize().into()
}
