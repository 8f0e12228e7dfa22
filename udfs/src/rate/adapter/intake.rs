//! What one payload has yielded so far.

use sha2::{Digest, Sha256};

use super::excerpt::excerpt;
use super::rate_list::RateList;
use super::{Admission, Payload, REJECTED_ENTRY_COUNT_MAX, Refusal, RejectedEntry, SnapshotNotice, dating};
use crate::rate::snapshot::{InstantMicros, RateDate, Snapshot, SnapshotId};
use crate::reason::{EntryReason, SnapshotReason};

/// Collects snapshots, refused entries and notices of one payload.
#[derive(Debug)]
pub(super) struct Intake<'a> {
    payload: &'a Payload<'a>,
    id: SnapshotId,
    name_date: Option<RateDate>,
    snapshots: Vec<Snapshot>,
    entries: Vec<RejectedEntry>,
    rejected_count: usize,
    quoted_count: usize,
    notices: Vec<SnapshotNotice>,
    empty_dates: Vec<RateDate>,
    expires: Option<RateDate>,
}

impl<'a> Intake<'a> {
    /// Begins a payload.
    ///
    /// # Errors
    /// A file that is named for a day that does not exist.
    pub(super) fn open(payload: &'a Payload<'a>) -> Result<Self, Refusal> {
        Ok(Self {
            payload,
            id: SnapshotId(Sha256::digest(payload.bytes).into()),
            name_date: dating::name_date(payload.file_name)?,
            snapshots: Vec::new(),
            entries: Vec::new(),
            rejected_count: 0,
            quoted_count: 0,
            notices: Vec::new(),
            empty_dates: Vec::new(),
            expires: None,
        })
    }

    /// The date in the file's name.
    pub(super) fn name_date(&self) -> Option<RateDate> {
        self.name_date
    }

    /// Notes times that do not fit together.
    pub(super) fn suspect_time(&mut self, detail: String) {
        self.notices.push(SnapshotNotice { reason: SnapshotReason::SnapshotTimeSuspect, detail });
    }

    /// Notes a document that is dated otherwise than its file is named.
    pub(super) fn compare_with_name(&mut self, body_date: Option<RateDate>) {
        let (Some(body_date), Some(name_date)) = (body_date, self.name_date) else {
            return;
        };
        if body_date != name_date {
            self.suspect_time(format!(
                "the document is dated {body_date}, the file is named for {name_date}"
            ));
        }
    }

    /// Sets the last day for which what is published from here on may be used.
    pub(super) fn expire(&mut self, last_day: Option<RateDate>) {
        self.expires = last_day;
    }

    /// Counts a figure that the payload writes as a string.
    pub(super) fn count_quoted(&mut self) {
        self.quoted_count += 1;
    }

    /// Refuses one entry.
    pub(super) fn reject(&mut self, code: &str, text: &str, reason: EntryReason, rate_date: RateDate) {
        self.rejected_count += 1;
        if self.entries.len() < REJECTED_ENTRY_COUNT_MAX {
            let (code, text) = (excerpt(code), excerpt(text));
            self.entries.push(RejectedEntry { code, text, reason, rate_date: Some(rate_date) });
        }
    }

    /// Adds one publication; one without a usable rate is only noted, and refused at the end if it is the
    /// only one.
    pub(super) fn publish(&mut self, provider: &str, list: RateList, valid_at: Option<InstantMicros>) {
        let (base, rate_date) = (list.base(), list.rate_date());
        let rates = list.finish(self);
        if rates.is_empty() {
            self.empty_dates.push(rate_date);
            return;
        }
        self.snapshots.push(Snapshot {
            id: self.id,
            provider: provider.to_owned(),
            base,
            rate_date,
            valid_at,
            known_at: self.payload.known_at,
            location: self.payload.location.to_owned(),
            rates,
            expires: self.expires,
            held: Vec::new(),
        });
    }

    /// Ends the payload.
    ///
    /// # Errors
    /// No usable rate at all, or two different sets of rates for one day.
    pub(super) fn close(mut self) -> Result<Admission, Refusal> {
        if self.snapshots.is_empty() {
            return Err(Refusal::new(SnapshotReason::SnapshotEmpty, self.nothing_usable()));
        }
        self.merge_equal_days()?;
        self.note_oddities();
        Ok(Admission { snapshots: self.snapshots, entries: self.entries, notices: self.notices })
    }

    fn nothing_usable(&self) -> String {
        let Some(first) = self.entries.first() else {
            return "the document holds no rates".to_owned();
        };
        format!(
            "none of the {} rates is usable; the first is `{}` = `{}` ({})",
            self.rejected_count, first.code, first.text, first.reason
        )
    }

    /// Orders the snapshots by day and drops repetitions.
    fn merge_equal_days(&mut self) -> Result<(), Refusal> {
        self.snapshots.sort_by_key(|snapshot| snapshot.rate_date);
        for pair in self.snapshots.windows(2) {
            let [earlier, later] = pair else { continue };
            if earlier.rate_date == later.rate_date && earlier.rates != later.rates {
                let detail =
                    format!("the document holds two different sets of rates for {}", later.rate_date);
                return Err(Refusal::new(SnapshotReason::SnapshotConflict, detail));
            }
        }
        self.snapshots.dedup_by_key(|snapshot| snapshot.rate_date);
        Ok(())
    }

    fn note_oddities(&mut self) {
        let (quoted, unlisted) = (self.quoted_count, self.rejected_count - self.entries.len());
        if quoted > 0 {
            self.note_form(format!("rates written as JSON strings: {quoted}"));
        }
        if unlisted > 0 {
            self.note_form(format!("refused entries that are not listed: {unlisted}"));
        }
        let detail = match &self.empty_dates[..] {
            [] => return,
            [only] => format!("{only} holds no usable rate"),
            [first, others @ ..] => {
                format!("{first} and {} other days hold no usable rate", others.len())
            }
        };
        self.notices.push(SnapshotNotice { reason: SnapshotReason::SnapshotEmpty, detail });
    }

    fn note_form(&mut self, detail: String) {
        self.notices.push(SnapshotNotice { reason: SnapshotReason::SnapshotMalformed, detail });
    }
}
