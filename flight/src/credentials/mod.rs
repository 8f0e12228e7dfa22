//! Who may come in: a TOML file of users, roles and hashes.
//!
//! ```toml
//! [users.ana]
//! role = "reader"
//! password = "$argon2id$v=19$m=19456,t=2,p=1$…"
//! tokens = ["sha256:…"]
//! ```
//!
//! The file holds no secret: a password is hashed by Argon2id, a token, which is random, by SHA-256. Changes are
//! written to a new file that then takes the old one's place; a running server sees them at its next call.

mod directory;
mod file;
mod password;

use std::collections::BTreeMap;
use std::fmt;

use cambist_sql::access::Role;
use serde::{Deserialize, Serialize};

use crate::error::{FlightServerError, Result};
use crate::secret::{Digest, Secret};

pub(crate) use directory::{Directory, Proof, Users};
pub use file::CredentialsFile;
pub(crate) use file::write_private;
pub(crate) use password::PasswordChecks;

/// How a token's hash is written.
const HASH_MARK: &str = "sha256:";
const NAME_CHARS_MAX: usize = 64;
/// What the advice of NIST SP 800-63B asks for at least.
const PASSWORD_CHARS_MIN: usize = 8;
/// A header of a call has room for it.
const PASSWORD_CHARS_MAX: usize = 256;

/// A bearer token; it is shown once, and known only by its hash afterwards.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken(String);

impl NewToken {
    /// Returns the token, for who shall have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewToken(…)")
    }
}

/// A user as a list shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// The name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they have a password.
    pub has_password: bool,
    /// How many tokens they have.
    pub tokens: usize,
}

/// The file's text.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Credentials {
    users: BTreeMap<String, User>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<String>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Credentials {
    fn from_toml(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        for (name, user) in &read.users {
            check_name(name).map_err(|error| error.to_string())?;
            if let Some(password) = &user.password {
                password::check_hash(password)
                    .map_err(|reason| format!("the password of `{name}` is not an Argon2 hash: {reason}"))?;
            }
            if let Some(at) = user.tokens.iter().position(|token| !is_hash(token)) {
                return Err(format!(
                    "token {} of `{name}` is not `{HASH_MARK}` and 64 hexadecimal digits",
                    at + 1
                ));
            }
        }
        Ok(read)
    }

    fn views(&self) -> Vec<UserView> {
        let view = |(name, user): (&String, &User)| UserView {
            name: name.clone(),
            role: user.role,
            has_password: user.password.is_some(),
            tokens: user.tokens.len(),
        };
        self.users.iter().map(view).collect()
    }

    fn set_role(&mut self, name: &str, role: Role) -> Result<()> {
        check_name(name)?;
        let new = User { role, password: None, tokens: Vec::new() };
        self.users.entry(name.to_owned()).or_insert(new).role = role;
        Ok(())
    }

    fn set_password(&mut self, name: &str, password: &str) -> Result<()> {
        let user = self.user(name)?;
        let chars = password.chars().count();
        if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
            return Err(FlightServerError::Unacceptable {
                what: format!("a password of {chars} characters"),
                reason: "expected 8 to 256 of them",
            });
        }
        user.password = Some(password::hash(password)?);
        Ok(())
    }

    fn make_token(&mut self, name: &str) -> Result<NewToken> {
        let user = self.user(name)?;
        let token = NewToken(format!("cambist_{}", Secret::random()?.reveal_text()));
        user.tokens.push(format!("{HASH_MARK}{}", Digest::of(token.reveal()).text()));
        Ok(token)
    }

    fn remove_tokens(&mut self, name: &str) -> Result<usize> {
        Ok(std::mem::take(&mut self.user(name)?.tokens).len())
    }

    fn user(&mut self, name: &str) -> Result<&mut User> {
        let known = self.users.keys().cloned().collect::<Vec<_>>().join(", ");
        self.users
            .get_mut(name)
            .ok_or_else(|| FlightServerError::UnknownUser { user: name.to_owned(), known })
    }
}

/// A name must fit into a Basic header, which a colon ends, and into a line of a log.
fn check_name(name: &str) -> Result<()> {
    let is_good = |character: char| character.is_alphanumeric() || "._-@+".contains(character);
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(is_good) {
        return Err(FlightServerError::Unacceptable {
            what: format!("user name `{}`", name.escape_debug()),
            reason: "expected 1 to 64 letters, digits and `._-@+`",
        });
    }
    Ok(())
}

fn is_hash(token: &str) -> bool {
    token.strip_prefix(HASH_MARK).is_some_and(|digits| {
        digits.len() == 64
            && digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
    })
}
