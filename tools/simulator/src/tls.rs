//! A certificate authority of the simulator's own, and the certificates that its TLS port shows.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::faults::Fault;

const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const OTHER_NAME: &str = "other.example.com";
const VALID: (i32, i32) = (2020, 2999);
const EXPIRED: (i32, i32) = (2001, 2002);

/// The authority's certificate, and a server's settings with each certificate that is shown.
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    right: Arc<ServerConfig>,
    wrong_name: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
}

impl Identity {
    pub(crate) fn new() -> io::Result<Identity> {
        let authority = authority().map_err(io::Error::other)?;
        Ok(Identity {
            ca_pem: authority.pem(),
            right: server(&authority, &OWN_NAMES, VALID)?,
            wrong_name: server(&authority, &[OTHER_NAME], VALID)?,
            expired: server(&authority, &OWN_NAMES, EXPIRED)?,
        })
    }

    /// The certificate for the next handshake.
    pub(crate) fn config(&self, fault: Option<Fault>) -> Arc<ServerConfig> {
        Arc::clone(match fault {
            Some(Fault::TlsWrongName) => &self.wrong_name,
            Some(Fault::TlsExpired) => &self.expired,
            _ => &self.right,
        })
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    // OpenSSL takes an issuer with the name of the subject for the subject itself.
    parameters.distinguished_name.push(DnType::CommonName, "hookmyapp-simulator");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)
}

fn server(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
    (from, to): (i32, i32),
) -> io::Result<Arc<ServerConfig>> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let signed = || {
        let mut parameters = CertificateParams::new(names)?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.not_before = date_time_ymd(from, 1, 1);
        parameters.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate()?;
        Ok::<_, rcgen::Error>((parameters.signed_by(&key, authority)?, key))
    };
    let (certificate, key) = signed().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}
