//! One thing to request, before the key is put in.

use url::{Host, Url};

use super::KEY_MARK;
use crate::secret::{ApiKey, REDACTED};

/// A header that bears the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// What stands before the key, such as `Token `.
    pub prefix: &'static str,
}

/// What is requested: a URL in which `{key}` stands for the key, or a header that bears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The URL, with `{key}` where the key belongs.
    pub url: String,
    /// The header for the key.
    pub header: Option<Header>,
    /// The name under which the answer is read: it dates a document that does not bear a date.
    pub file_name: String,
}

impl Resource {
    /// The URL as it may be shown and stored.
    pub fn shown(&self) -> String {
        self.url.replace(KEY_MARK, REDACTED)
    }

    /// The URL as it is sent.
    pub(crate) fn with_key(&self, key: Option<&ApiKey>) -> Result<Url, url::ParseError> {
        match key {
            Some(key) => Url::parse(&self.url.replace(KEY_MARK, key.reveal_encoded())),
            None => Url::parse(&self.url),
        }
    }
}

/// Why a base URL is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBaseUrl {
    /// No URL at all.
    #[error("`{0}` is no URL, expected one such as `https://openexchangerates.org/api`")]
    NotAUrl(String),
    /// Neither http nor https.
    #[error("`{0}` is neither `https://` nor `http://`")]
    Scheme(String),
    /// A name and password in the URL are secrets in a place for public things.
    #[error("the URL holds a name or a password, expected the key in a variable or a file")]
    Credentials,
    /// The key would be readable by everybody on the way.
    #[error("a key is not sent to `{0}` without TLS, expected `https://` or an address of this machine")]
    KeyInTheClear(String),
}

/// Checks that `text` may be asked, with a key if `has_key`.
///
/// # Errors
/// [`InvalidBaseUrl`].
pub fn check_url(text: &str, has_key: bool) -> Result<(), InvalidBaseUrl> {
    let url = Url::parse(text).map_err(|_| InvalidBaseUrl::NotAUrl(text.to_owned()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidBaseUrl::Credentials);
    }
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(InvalidBaseUrl::NotAUrl(text.to_owned())),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if has_key && !is_local => {
            Err(InvalidBaseUrl::KeyInTheClear(url.host_str().unwrap_or_default().to_owned()))
        }
        "http" => Ok(()),
        _ => Err(InvalidBaseUrl::Scheme(text.to_owned())),
    }
}
