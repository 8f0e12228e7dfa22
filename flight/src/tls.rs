//! The certificate of a server: read, or made for trying out.

use std::fs;
use std::path::Path;

use rcgen::KeyUsagePurpose;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tonic::transport::Identity;

use crate::credentials::write_private;
use crate::error::{FlightServerError, Result};
use crate::settings::Tls;

/// What a client must trust.
const AUTHORITY: &str = "ca.pem";
const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";
const COMMON_NAME: &str = "Cambist, made for trying out";

/// Returns the server's certificate and key; none where TLS is off.
pub(crate) fn identity(tls: &Tls) -> Result<Option<Identity>> {
    match tls {
        Tls::Files { certificate, key } => Ok(Some(Identity::from_pem(read(certificate)?, read(key)?))),
        Tls::SelfSigned { folder, names } => {
            let certificate = folder.join(CERTIFICATE);
            let key = folder.join(KEY);
            if !(certificate.exists() && key.exists() && folder.join(AUTHORITY).exists()) {
                make(folder, names)?;
            }
            Ok(Some(Identity::from_pem(read(&certificate)?, read(&key)?)))
        }
        Tls::Off => Ok(None),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| FlightServerError::File { action: "read", path: path.to_owned(), source })
}

/// Makes an authority that vouches for one certificate; nobody keeps the authority's own key.
fn make(folder: &Path, names: &[String]) -> Result<()> {
    let made =
        certificates(names).map_err(|error| FlightServerError::Certificate { reason: error.to_string() })?;
    fs::create_dir_all(folder).map_err(|source| FlightServerError::File {
        action: "write",
        path: folder.to_owned(),
        source,
    })?;
    write_private(&folder.join(KEY), made.key.as_bytes())?;
    write_private(&folder.join(CERTIFICATE), made.certificate.as_bytes())?;
    write_private(&folder.join(AUTHORITY), made.authority.as_bytes())?;
    tracing::info!(authority = %folder.join(AUTHORITY).display(), "a certificate was made; clients must trust it");
    Ok(())
}

struct Made {
    authority: String,
    certificate: String,
    key: String,
}

fn certificates(names: &[String]) -> Result<Made, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    authority.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::from_params(&authority, &authority_key);

    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    all.extend(names.iter().filter(|name| !name.is_empty()).cloned());
    all.sort();
    all.dedup();
    let mut server = CertificateParams::new(all)?;
    server.distinguished_name.push(DnType::CommonName, "Cambist");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &issuer)?;
    Ok(Made {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}
