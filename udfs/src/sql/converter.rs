//! The conversions of a query: what a row asks for is looked up once, and found again by the rows that ask
//! for the same, in whatever batch they come.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::FixedState;

use super::argument::Amount;
use super::pair::{PAGE_DAYS, Pair, PairKey, Pairs, Quote};
use crate::convert::{Conversion, Narrow};
use crate::currency::Currency;
use crate::decimal::Decimal;
use crate::rate::SnapshotIndex;
use crate::reason::RowReason;
use crate::rounding::RoundingMode;

/// So many conversions are remembered by each of the batches that are converted at once: those of a year in 170
/// currencies. Beyond it everything is forgotten, and learnt anew.
const CONVERSIONS_MAX: usize = 65_536;

/// So many pages are remembered, 2 KiB each. Beyond it everything is forgotten.
const PAGES_MAX: usize = 8_192;

/// So many converters wait for the next batch: one for each batch that is converted at once, and for each
/// call of a query.
const IDLE_MAX: usize = 64;

/// What is the same for all rows of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) target: Currency,
    /// The decimals of the result.
    pub(super) scale: u8,
    pub(super) rounding: RoundingMode,
}

/// The converters of a function over one book of rates, those in use left out.
#[derive(Clone, Default)]
pub(super) struct Converters(Arc<Mutex<Vec<Converter>>>);

impl Converters {
    /// Takes one that an earlier batch of such a call has left, else a new one.
    pub(super) fn take(&self, call: Call) -> Converter {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match idle.iter().position(|converter| converter.call == call) {
            Some(position) => idle.swap_remove(position),
            None => Converter::new(call),
        }
    }

    /// Keeps one for the next batch.
    pub(super) fn give_back(&self, converter: Converter) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(converter);
        }
    }
}

/// What is remembered makes no difference to what a function computes.
impl PartialEq for Converters {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Converters {}

impl Hash for Converters {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Converters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Converters")
    }
}

/// The conversions of one call, each ratio reduced once.
pub(super) struct Converter {
    call: Call,
    /// Where the page of a key begins among the places.
    pages: HashMap<u64, usize, FixedState>,
    /// For each day of a page the conversion of such rows, once one was looked up that has a fast way. Most rows
    /// ask for what others have asked for, and each finds it with one look at memory that is not at hand.
    places: Vec<Option<Narrow>>,
    conversions: Vec<Conversion>,
    positions: HashMap<(Currency, Option<SnapshotIndex>, u8), usize>,
}

impl Converter {
    fn new(call: Call) -> Self {
        Self {
            call,
            pages: HashMap::default(),
            places: Vec::new(),
            conversions: Vec::new(),
            positions: HashMap::new(),
        }
    }

    /// Converts the amount of a row.
    #[inline]
    pub(super) fn convert(
        &mut self,
        pairs: &Pairs<'_>,
        row: usize,
        amount: Amount,
    ) -> Result<i128, RowReason> {
        let key = pairs.key(row, amount.scale);
        if let Some(key) = key
            && let Some(page) = self.pages.get(&key.page)
            && let Some(Some(narrow)) = self.places.get(page + key.day)
            && let Some(result) = narrow.convert(amount.mantissa, self.call.rounding)
        {
            return Ok(result);
        }
        self.look_up(pairs, row, amount, key)
    }

    /// Converts the amount of a row that asks for something new, or needs more than 64 bits.
    #[inline(never)]
    fn look_up(
        &mut self,
        pairs: &Pairs<'_>,
        row: usize,
        amount: Amount,
        key: Option<PairKey>,
    ) -> Result<i128, RowReason> {
        let pair = pairs.get(row)?;
        if self.pages.len() >= PAGES_MAX || self.conversions.len() >= CONVERSIONS_MAX {
            *self = Self::new(self.call);
        }
        let (amount, key) = if pair.source.hundredths {
            // The decimals of a hundredth depend on the amount.
            (amount.hundredth()?, None)
        } else {
            (amount, key)
        };
        let conversion = self.conversion(pairs, &pair, amount.scale)?;
        if let Some(key) = key
            && let Some(narrow) = conversion.narrow()
        {
            self.remember(key, narrow);
        }
        conversion.convert(amount.mantissa).ok_or(RowReason::ResultOverflow)
    }

    fn remember(&mut self, key: PairKey, narrow: Narrow) {
        let page = *self.pages.entry(key.page).or_insert_with(|| {
            let begin = self.places.len();
            self.places.resize(begin + PAGE_DAYS, None);
            begin
        });
        if let Some(place) = self.places.get_mut(page + key.day) {
            *place = Some(narrow);
        }
    }

    fn conversion(
        &mut self,
        pairs: &Pairs<'_>,
        pair: &Pair,
        amount_scale: u8,
    ) -> Result<Conversion, RowReason> {
        let snapshot = match pairs.quote(pair)? {
            Quote::Same => None,
            Quote::Published(snapshot) => Some(snapshot),
        };
        let key = (pair.source.currency, snapshot, amount_scale);
        if let Some(conversion) =
            self.positions.get(&key).and_then(|position| self.conversions.get(*position))
        {
            return Ok(*conversion);
        }
        let (source, target) = match snapshot {
            // From a currency to itself nothing but the decimals changes.
            None => (Decimal::ONE, Decimal::ONE),
            Some(snapshot) => {
                (pairs.rate(snapshot, pair.source.currency)?, pairs.rate(snapshot, pair.target.currency)?)
            }
        };
        let Call { scale, rounding, .. } = self.call;
        let conversion = Conversion::new(source, target, amount_scale, scale, rounding);
        self.positions.insert(key, self.conversions.len());
        self.conversions.push(conversion);
        Ok(conversion)
    }
}
