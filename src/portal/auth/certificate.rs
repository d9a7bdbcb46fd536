//! OpenSSH certificates of users (PROTOCOL.certkeys): what one has to say before it
//! lets somebody in, and how far it goes then. russh has verified that its holder
//! signed for it; all else is asked here.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, PublicKey};

use crate::model::limits::{AddressRule, Verb};
use crate::model::{KeyLimits, Time, text};
use crate::portal::keys::{check_kind, fingerprint, is_security_key};

/// The action that a line comes down to; none if it is no command.
pub type VerbOf = fn(&str) -> Option<Verb>;

/// What a certificate says of itself, whoever signed it.
#[derive(Debug)]
pub struct Claims {
    /// Of the key that signed it.
    pub signer: String,
    /// Of the key that it is for.
    pub key: String,
    /// Its number among its authority's.
    pub serial: u64,
    /// What it says that it is for.
    pub key_id: String,
}

/// The flag of a signature that somebody was there (PROTOCOL.u2f).
const PRESENT: u8 = 1;

impl Claims {
    pub fn of(certificate: &Certificate) -> Claims {
        Claims {
            signer: fingerprint(&PublicKey::from(certificate.signature_key().clone())),
            key: fingerprint(&PublicKey::from(certificate.public_key().clone())),
            serial: certificate.serial(),
            key_id: certificate.key_id().to_owned(),
        }
    }
}

/// How far a certificate goes for an account of that name. Where from is the
/// caller's to check, as for any key; who signed it, and whether that counts, too.
///
/// # Errors
/// Why it does not let in: for the log, and for administrators.
pub fn limits(
    certificate: &Certificate,
    name: &str,
    now: Time,
    verb_of: VerbOf,
) -> Result<KeyLimits, &'static str> {
    if certificate.cert_type() != CertType::User {
        return Err("it is not for users");
    }
    check_kind(&PublicKey::from(certificate.public_key().clone())).map_err(|_| "its key is too weak")?;
    signed_well(certificate)?;
    // Whoever names nobody does not mean everybody.
    if !certificate.valid_principals().iter().any(|p| p == name) {
        return Err("it names others, or nobody");
    }
    let mut limits = KeyLimits { expires_at: validity(certificate, now)?, ..KeyLimits::default() };
    for (option, value) in certificate.critical_options().iter() {
        match option.as_str() {
            "source-address" => {
                limits.from = AddressRule::list(value).map_err(|_| "its source-address cannot be read")?;
            }
            "force-command" => {
                let verb = verb_of(value).ok_or("its force-command is none of the commands here")?;
                limits.verbs = vec![verb];
                limits.forced = Some(value.clone());
            }
            // Whether a PIN was given is in the signature, that nobody is shown here.
            "verify-required" => return Err("it demands a PIN, and that cannot be seen here"),
            _ => return Err("it has an option that is not known here"),
        }
    }
    let permits = |extension: &str| certificate.extensions().contains_key(extension);
    limits.no_pty = !permits("permit-pty");
    limits.no_forwarding = !permits("permit-port-forwarding");
    limits.no_agent = !permits("permit-agent-forwarding");
    Ok(limits)
}

/// Until when it is valid; none: for ever.
fn validity(certificate: &Certificate, now: Time) -> Result<Option<Time>, &'static str> {
    let now_s = u64::try_from(now.millis() / 1000).unwrap_or(0);
    if now_s < certificate.valid_after() {
        return Err("it is not valid yet");
    }
    if now_s >= certificate.valid_before() {
        return Err("it has expired");
    }
    // What is later than any clock is for ever.
    let end = i64::try_from(certificate.valid_before()).ok().and_then(|s| s.checked_mul(1000));
    Ok(end.map(Time::from_millis))
}

fn signed_well(certificate: &Certificate) -> Result<(), &'static str> {
    certificate.verify_signature().map_err(|_| "its signature is wrong")?;
    let signature = certificate.signature();
    match signature.algorithm() {
        Algorithm::Rsa { hash: None } => Err("it is signed with SHA-1"),
        // The last five bytes are the flags, and a counter.
        sk if is_security_key(&sk) => match signature.as_bytes().iter().rev().nth(4) {
            Some(flags) if flags & PRESENT != 0 => Ok(()),
            _ => Err("its authority was not touched to sign"),
        },
        _ => Ok(()),
    }
}

/// A key id in a few words that may stand in a row and on a terminal.
pub fn shown(key_id: &str) -> String {
    text::short(key_id, 80)
}
