//! The ledger of a folder or a bucket.

use async_trait::async_trait;
use cambist_engine::rates::ledger::{self, Appended, LedgerError, LedgerWriter, WriterOptions};
use cambist_engine::store::{StoreError, Stores};
use cambist_udfs::rate::RateDate;

use super::{Delivered, DeliveryError, Destination, Held, Parcel};
use crate::fetch::Surroundings;

/// Appends payloads to a ledger.
#[derive(Debug)]
pub struct LedgerDestination {
    writer: LedgerWriter,
    place: String,
    surroundings: Surroundings,
}

impl LedgerDestination {
    /// Opens the ledger at `url`; `gates` judge what is delivered.
    ///
    /// # Errors
    /// [`DeliveryError::Failed`] where it, or what the gates compare with, cannot be read.
    pub async fn open(
        stores: &Stores,
        url: &str,
        gates: &WriterOptions,
        surroundings: Surroundings,
    ) -> Result<Self, DeliveryError> {
        let place = url.trim_end_matches('/').to_owned();
        let opened = LedgerWriter::open(stores, url, gates.clone()).await;
        let writer = opened.map_err(|error| failed(&place, error))?;
        Ok(Self { writer, place, surroundings })
    }
}

#[async_trait]
impl Destination for LedgerDestination {
    fn held(&self, providers: &[&str], date: RateDate) -> Option<Held> {
        let newest = providers
            .iter()
            .filter_map(|provider| self.writer.latest(provider, date))
            .max_by_key(|version| version.known_at)?;
        let origin = newest.origin.to_owned();
        Some(Held { known_at: newest.known_at, origin, metadata: newest.metadata.clone() })
    }

    async fn deliver(&mut self, parcel: Parcel) -> Result<Delivered, DeliveryError> {
        let recorded_at = (self.surroundings.now)();
        let appended = self.writer.append(parcel.received, recorded_at).await;
        match appended.map_err(|error| failed(&self.place, error))? {
            Appended::Stored { object, held, .. } => {
                let suspects = held.iter().map(|held| in_words(&object, held)).collect();
                Ok(Delivered::Stored { place: format!("{}/{object}", self.place), suspects })
            }
            Appended::Unchanged { object } => {
                Ok(Delivered::Unchanged { place: format!("{}/{object}", self.place) })
            }
        }
    }

    async fn finish(self: Box<Self>) -> Result<(), DeliveryError> {
        let recorded_at = (self.surroundings.now)();
        self.writer.finish(recorded_at).await.map_err(|error| failed(&self.place, error))
    }
}

fn in_words(object: &str, held: &ledger::Held) -> String {
    let currency = held.currency.map_or_else(|| "all rates".to_owned(), |currency| currency.to_string());
    format!("{object}: {currency}: {}: {}", held.gate, held.detail)
}

fn failed(place: &str, error: LedgerError) -> DeliveryError {
    if matches!(error, LedgerError::Refused { .. }) {
        return DeliveryError::Refused { source: Box::new(error) };
    }
    // A disk that fails now may not fail later; a permission that is missing is missed again.
    let is_retryable = matches!(error, LedgerError::Store(StoreError::Request { .. }));
    DeliveryError::Failed { place: place.to_owned(), is_retryable, source: Box::new(error) }
}
