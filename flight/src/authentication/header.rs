//! What the headers of a call present: credentials, a cookie, options of the session.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use cambist_sql::SessionOptions;
use tonic::Status;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use crate::secret::Secret;

/// The name of our cookie.
const COOKIE: &str = "cambist_session";
/// Clients differ on the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What stands in the header `authorization`. It has no `Debug`, so that no log shows it.
pub(super) enum Presented {
    Password { user: String, password: String },
    Token(String),
}

/// Returns what the call presents; nothing where that cannot be read, or is there twice.
pub(super) fn presented(metadata: &MetadataMap) -> Option<Presented> {
    let mut values = metadata.get_all("authorization").iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Presented::Token(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(Presented::Password { user: user.to_owned(), password: password.to_owned() })
}

/// Returns our cookie, where the call has it.
pub(super) fn cookie(metadata: &MetadataMap) -> Option<String> {
    let headers = metadata.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let pairs = headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value.trim_matches('"').to_owned()).next_back()
}

/// Offers a cookie; `is_tls` says that it never travels in the open.
pub(crate) fn set_cookie(metadata: &mut MetadataMap, cookie: &Secret, is_tls: bool) {
    let secure = if is_tls { "; Secure" } else { "" };
    insert(
        metadata,
        &format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{secure}", cookie.reveal_text()),
    );
}

/// Takes our cookie back.
pub(crate) fn clear_cookie(metadata: &mut MetadataMap) {
    insert(metadata, &format!("{COOKIE}=; Path=/; Max-Age=0"));
}

fn insert(metadata: &mut MetadataMap, value: &str) {
    if let Ok(mut value) = AsciiMetadataValue::try_from(value) {
        value.set_sensitive(true);
        metadata.insert("set-cookie", value);
    }
}

/// Returns the options that the call's headers set.
pub(super) fn options(metadata: &MetadataMap) -> Result<SessionOptions, Status> {
    let text = |name: &str| {
        let unreadable = |_| Status::invalid_argument(format!("header `{name}` is not plain text"));
        metadata.get(name).map(|value| value.to_str().map(str::to_owned).map_err(unreadable)).transpose()
    };
    let age = text("x-cambist-rates-max-age-days")?;
    let age = age.map(|days| {
        days.parse().map_err(|_| {
            let days = days.escape_debug();
            Status::invalid_argument(format!(
                "header `x-cambist-rates-max-age-days` is `{days}`, expected a whole number"
            ))
        })
    });
    Ok(SessionOptions {
        rates: text("x-cambist-rates")?,
        rates_mode: text("x-cambist-rates-mode")?,
        rates_max_age_days: age.transpose()?,
        rates_known_as_of: text("x-cambist-rates-known-as-of")?,
    })
}
