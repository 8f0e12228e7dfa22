//! The European Central Bank: three files, of the newest day, of 90 days and of all days, without a key.

use super::target_days::is_closing_day;
use super::{Asking, Profile, Provider, Resource};
use crate::question::{Question, day_number};

/// <https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates>
#[derive(Debug)]
pub(super) struct Ecb;

/// The file of 90 days is that of 90 calendar days; a few less are surely in it.
const RECENT_DAYS: i32 = 85;

const PROFILE: Profile = Profile {
    name: "ecb",
    base_url: "https://www.ecb.europa.eu/stats/eurofxref",
    shapes: &["ecb"],
    key_variable: None,
    series_days_max: None,
    answers_with_files: true,
    skips_days: true,
    is_closed: is_closing_day,
    key_errors: &[],
    limit_errors: &[],
};

impl Provider for Ecb {
    fn profile(&self) -> &Profile {
        &PROFILE
    }

    fn resource(&self, question: &Question, asking: &Asking<'_>) -> Resource {
        let file_name = match question.days() {
            None => "eurofxref-daily.xml",
            // If today's rates are not out yet, no file has them.
            Some((first, _)) if first >= asking.today => "eurofxref-daily.xml",
            Some((first, _)) if day_number(asking.today) - day_number(first) < RECENT_DAYS => {
                "eurofxref-hist-90d.xml"
            }
            Some(_) => "eurofxref-hist.xml",
        };
        let url = format!("{}/{file_name}", asking.base_url);
        Resource { url, header: None, file_name: file_name.to_owned() }
    }
}
