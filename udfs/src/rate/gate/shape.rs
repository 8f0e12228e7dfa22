//! What kind of slip a rate that is too far off looks like.

use super::finding::Gate;
use super::ratio::Ratio;

/// How near an inverted or shifted rate must come to be called so: 15 %, as far as real rates are apart in
/// the worst of weeks. It decides the name of a finding, and only rarely whether there is one.
const SHAPE_RATIO_MAX: (u32, u32) = (115, 100);

/// Rates have fewer digits than this.
const POWER_EXPONENT_MAX: u32 = 38;

/// What a rate was compared with.
#[derive(Clone, Debug)]
pub(super) struct Expectation {
    /// The rate that would have been plausible.
    pub(super) rate: Ratio,
    /// Where it is from, in words.
    pub(super) source: String,
}

impl Expectation {
    /// True if the rate is about the reciprocal of the expected one.
    pub(super) fn is_inverted(&self, rate: &Ratio) -> bool {
        rate.times(&self.rate).is_within(&shape_limit())
    }

    /// Names what is wrong with a rate that is further off than `limit`: inverted, shifted by a power of
    /// ten, or `otherwise`.
    pub(super) fn name(&self, rate: &Ratio, limit: &Ratio, otherwise: Gate) -> (Gate, String) {
        let Self { rate: expected, source } = self;
        if self.is_inverted(rate) {
            return (Gate::Inversion, format!("is about the reciprocal of {expected} ({source})"));
        }
        let magnitude = rate.per(expected).magnitude();
        if let Some(power) = power_of_ten(&magnitude) {
            let direction = if rate.compare(expected).is_lt() { "below" } else { "above" };
            let detail = format!("is about {power} times {direction} {expected} ({source})");
            return (Gate::PowerOfTen, detail);
        }
        let detail = format!(
            "is off by a factor of {magnitude} from {expected} ({source}); at most {limit} is plausible"
        );
        (otherwise, detail)
    }
}

fn shape_limit() -> Ratio {
    Ratio::new(SHAPE_RATIO_MAX.0, SHAPE_RATIO_MAX.1)
}

/// The power of ten, 10 or more, that a ratio of 1 or more is near to.
fn power_of_ten(magnitude: &Ratio) -> Option<Ratio> {
    let limit = shape_limit();
    (1..=POWER_EXPONENT_MAX)
        .map(Ratio::power_of_ten)
        .take_while(|power| power.compare(&magnitude.times(&limit)).is_le())
        .find(|power| magnitude.per(power).is_within(&limit))
}
